"""How many tokens a text is to an embedder."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

CountTokens = Callable[[str], int]

_WORD = 100  # longer ones do not recur
_BERT = re.compile(r"[^\s!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
_WORD_OR_SYMBOL = re.compile(r"\w+|[^\w\s]")


@lru_cache(maxsize=4)
def token_counter(tokenizer_file: str | None) -> CountTokens:
    """Counts a text's tokens without start and end marks; without a file, it overestimates."""
    if tokenizer_file is None:
        return _estimate
    # Only the worker that reads files needs it.
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(tokenizer_file)
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    if type(tokenizer.pre_tokenizer).__name__ != "BertPreTokenizer":
        return count
    # BERT never looks across white space and punctuation, and words recur: many times as fast.
    count_word = lru_cache(maxsize=1 << 16)(count)
    return lambda text: sum(
        count_word(word) if len(word) <= _WORD else count(word) for word in _BERT.findall(text)
    )


def _estimate(text: str) -> int:
    # Two to three times the truth for prose, and about the truth for symbols and other scripts.
    sizes = (len(piece.encode("utf-8", "replace")) for piece in _WORD_OR_SYMBOL.findall(text))
    return sum(1 + size // 2 for size in sizes)
