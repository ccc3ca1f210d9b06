"""The sizes of chunks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """The limits of a chunk.

    `size` and `overlap` are in characters. `max_tokens` is what the embedder takes, including the
    special tokens at the start and the end of a text, counted with `tokenizer_file` (tokenizers'
    JSON form) if there is one.
    """

    size: int = 1000
    overlap: int = 200
    max_tokens: int = 256
    tokenizer_file: str | None = None

    @property
    def target_size(self) -> int:
        """The preferred size: chunks shorter than the limit are found more reliably."""
        return self.size // 2

    @property
    def min_size(self) -> int:
        """The size below which a piece is merged with a neighbour if possible."""
        return self.size // 8
