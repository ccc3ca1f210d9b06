"""What the process for text recognition is told: its limits, and each page."""

import json
from dataclasses import asdict, dataclass
from typing import Self, TypedDict

MAX_MEMORY = 4 << 30
"""The address space of the process in bytes; a page takes less than 2 GiB of it."""


@dataclass(frozen=True, slots=True)
class OcrLimits:
    """How pages are recognised; files of more than `file_bytes` are not read."""

    recogniser: str
    file_bytes: int
    cpu_seconds: float
    mask_secrets: bool
    identity: str
    niceness: int
    memory: int = MAX_MEMORY

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


class PageCall(TypedDict):
    """The parameters of a call: a page of a file, and the hash of the file that is meant."""

    path: str
    page: int
    file_hash: str
