"""Count the tokens of a text, as an embedder counts them."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

CountTokens = Callable[[str], int]

_MAX_CACHED_WORD = 100  # longer words do not recur
_BERT = re.compile(r"[^\s!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
_WORD_OR_SYMBOL = re.compile(r"\w+|[^\w\s]")


@lru_cache(maxsize=4)
def token_counter(tokenizer_file: str | None) -> CountTokens:
    """Return a function that counts tokens, without the special ones at the start and the end.

    Without a file in tokenizers' JSON form, the function overestimates.
    """
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
    # BERT tokenizes each word by itself, and words recur: a cache makes it many times faster.
    count_word = lru_cache(maxsize=1 << 16)(count)
    return lambda text: sum(
        count_word(word) if len(word) <= _MAX_CACHED_WORD else count(word)
        for word in _BERT.findall(text)
    )


def _estimate(text: str) -> int:
    # Two to three times the true count for prose, about the true count for symbols and other
    # scripts.
    sizes = (len(piece.encode("utf-8", "replace")) for piece in _WORD_OR_SYMBOL.findall(text))
    return sum(1 + size // 2 for size in sizes)
