"""The scripts that a text is written in, by the Unicode names of its letters."""

import unicodedata
from collections import Counter
from functools import lru_cache

MAX_LETTERS = 1000
"""Characters of a text that are looked at."""

LATIN, HAN, JAPANESE = "Latin", "Han", "Japanese"

# How the names of letters begin, where it is not with the name of the script.
_NAMES = {
    "CJK": HAN,
    "IDEOGRAPHIC": HAN,
    "HIRAGANA": JAPANESE,
    "KATAKANA": JAPANESE,
    "KATAKANA-HIRAGANA": JAPANESE,
    "MATHEMATICAL": LATIN,
    "FEMININE": LATIN,
    "MASCULINE": LATIN,
    "MICRO": LATIN,
}
_WIDTHS = ("FULLWIDTH ", "HALFWIDTH ", "MODIFIER ")

MIN_KANA = 0.05
"""Share of kana above which the characters that Japanese took from Chinese are Japanese."""


def script_shares(text: str) -> dict[str, float]:
    """Return the share of each script in a text's letters; they sum to 1.

    Empty for a text without letters. Chinese is "Han", and Japanese, though of three scripts, is
    one; other names are those of Unicode: "Latin", "Arabic", "Devanagari".
    """
    text = text[:MAX_LETTERS]
    if text.isascii():
        return {LATIN: 1.0} if any(map(str.isalpha, text)) else {}
    counts = Counter(filter(None, map(_script, text)))
    if counts[JAPANESE] > MIN_KANA * (counts[JAPANESE] + counts[HAN]):
        counts[JAPANESE] += counts.pop(HAN, 0)
    total = counts.total()
    return {script: n / total for script, n in counts.items() if n}


@lru_cache(maxsize=1 << 14)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "")
    for width in _WIDTHS:
        name = name.removeprefix(width)
    first = name.partition(" ")[0]
    return _NAMES.get(first, first.title()) or None
