"""Where sentences end, in a finished text and in one that is still being written."""

import re

_CLOSING = r"[\"”’'*_)\]]*"
SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"”’)\]]*\s+|(?<=[。！？])|\n+")
"""What separates two sentences or lines of a finished text; after an abbreviation it does not."""

# What follows tells: a capital letter, or a new line; after a list item a blank line or another.
# Before the full stop a word or figure: no initial, and no number of a list.
_SURE_END = re.compile(
    rf"""
    (?:[^\W\d_]{{2}}|\d[ ]?[^\W\d_]|[^\W\d_]\d+|[%€$£°"”’'`*_)\]]|(?<=\S[ ])[\d.,:/-]*\d)
    (?P<stop>[.!?]){_CLOSING}(?=\s+[^\W\d_a-z]|\s*\n)
    |[。！？](?=\s*[^\s\[])
    |[^\s:|](?=\s*\n\s*(?:\n|[-*•\#\d]))
    """,
    re.X,
)
LONGEST_END = 40
"""Characters in which a sentence ends at most."""

_WHOLE = re.compile(rf"\s*(?:[-*•]|\d+[.)])\s+(?!\[)|(?!\s*[#|]).*[.!?。！？]{_CLOSING}$", re.S)
"""A list item, or a sentence up to its full stop."""

_PROSE = re.compile(r"[\"“«(]?[^\W\d_a-z][^:{}<>=|\\]*[.!?。！？]\W*$")
_WRAPPED = re.compile(r"(?<=[^\n.!?:|])\n(?=[^\W\d_])")

# Those that often stand before a capital letter.
_ABBREVIATIONS = """
Dr Hr Fr Mr Mrs Ms Mme Mlle St Sr Sra Srta Prof Capt Col Gen Gov Hon Maj Rev Sen Sgt Lieut
Co Inc Ltd Corp Dept Univ Fig Vol Nr Nos Ave Blvd Abb Abs Art Aufl Bd Hrsg
ca cf vs approx incl vgl bzw ggf evtl inkl zzgl sog e.g i.e d.h z.B u.a p.ej
""".split()
_ABBREVIATED = re.compile(
    rf"""
    (?<![^\W_])(?:
        [^\W\d_a-z]
        | {"|".join(map(re.escape, _ABBREVIATIONS))}
        | (?i:a[bm]|de[mnrs]|das|die|vo[mr]|zu[mr]|im|bis|seit|nach|und|jede[mnrs])[ ]\d{{1,2}}
    )\.$
    """,
    re.X,
)
"""An initial, an abbreviation or, in German, an ordinal at the end."""
_LONGEST_ABBREVIATION = len("jedes 31.")


def split_sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text."""
    parts, start = list[str](), 0
    for end in SENTENCE_END.finditer(text):
        if not _is_abbreviated(text, end.start()) or "\n" in end[0]:
            parts.append(text[start : end.start()])
            start = end.end()
    return [part for part in (*parts, text[start:]) if re.search(r"\w", part)]


def join_lines(text: str) -> str:
    """Return a text in which the lines of a paragraph are one; not those of a list or a table."""
    return _WRAPPED.sub(" ", text)


def last_sentence(text: str) -> str:
    """Return the last sentence of a text; empty when it has none."""
    return next(reversed(split_sentences(text)), "")


def is_whole(sentence: str) -> bool:
    """Return whether this is a list item, or a sentence up to its full stop."""
    return _WHOLE.match(sentence) is not None


def is_prose(sentence: str) -> bool:
    """Return whether this is a whole sentence, and no title, code or line of a list or table."""
    return _PROSE.match(sentence) is not None


def find_ends(text: str, start: int) -> list[int]:
    """Return where sentences have surely ended after `start`, even if more of `text` follows."""
    return [
        each.end()
        for each in _SURE_END.finditer(text, start)
        if each["stop"] is None or not _is_abbreviated(text, each.end("stop"))
    ]


def _is_abbreviated(text: str, end: int) -> bool:
    """Return whether the text ends there with the full stop of an initial or abbreviation."""
    start = max(0, end - _LONGEST_ABBREVIATION - 1)  # and what is before it
    return _ABBREVIATED.search(text[start:end]) is not None
