"""Allma and its dependencies contact only configured providers, and write only Allma's files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.test_reader import SAMPLES
from tests.e2e.test_main_job import SUFFIXES

NAMESPACE = ["unshare", "--map-root-user", "--net"]


@pytest.fixture(scope="module", autouse=True)
def namespace() -> None:
    """Create an isolated network, if the machine permits it."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network of its own takes Linux's `unshare` and `ip`")
    tried = subprocess.run([*NAMESPACE, "ip", "link", "set", "lo", "up"], capture_output=True)
    if tried.returncode != 0:
        pytest.skip(f"this machine grants no network of its own: {tried.stderr.decode()}")


@pytest.mark.invariant(15)
@pytest.mark.timeout(240)
def test_the_main_job_opens_no_other_connections_and_files(
    short_path: Path, tmp_path: Path
) -> None:
    home = short_path  # the daemon's socket is below it
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, sample in SAMPLES.items():
        (docs / f"{name}{SUFFIXES[name]}").write_bytes(sample())
    env = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],  # noqa: TID251
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    job = [sys.executable, "-m", "tests.e2e.network_job", str(docs)]
    done = subprocess.run([*NAMESPACE, *job], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [""] * 2, "nothing was sent"
    written = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    own = [Path(".cache/allma"), Path(".local/share/allma")]
    assert written, "the job keeps its data below the home folder"
    assert [str(path) for path in written if not any(o in path.parents for o in own)] == []
