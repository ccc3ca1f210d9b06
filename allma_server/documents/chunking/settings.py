"""How large a chunk may be, and how large it is best."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """Bounds of a chunk.

    `size` and `overlap` in characters; `max_tokens` is what the embedder takes, the marks at a
    text's start and end included, counted by `tokenizer_file` (tokenizers' JSON form) if given.
    """

    size: int = 1000
    overlap: int = 200
    max_tokens: int = 256
    tokenizer_file: str | None = None

    @property
    def natural(self) -> int:
        """Where a chunk is full: what is found best is shorter than what is allowed."""
        return self.size // 2

    @property
    def tiny(self) -> int:
        """Below this a piece says too little by itself."""
        return self.size // 8
