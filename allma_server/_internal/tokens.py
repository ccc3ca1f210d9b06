"""Turn text into search terms, for the full-text index and for queries.

The index sees only the space-joined output of `lexemes`, so every rule about words (case, accents,
identifiers, versions, scripts without spaces) is here and applies to queries as well. Each word is
expanded on its own, so a phrase of whole words yields the same sequence of terms in a query as in
the text that contains it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from string import ascii_lowercase

from allma_server._internal.word_forms import fold, stems

TOKENS_VERSION = 3
"""Increased whenever the same text yields other terms; the index is then rebuilt."""

MAX_TERM = 64

PART_LENGTH = 5
"""Letters of the beginning and the end of a word; 4 and 6 find less in German."""

ACCENTED_WORDS = 0.06
"""Share of words with accents above which a text is not English; German has about a tenth."""

# Scripts without spaces: characters and pairs of characters are the terms.
_CJK = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u1100-\u11ff\U00020000-\U0003134f"
)
# Thai, Lao, Tibetan, Myanmar, Khmer: three characters are about a syllable.
_UNSPACED = "\u0e00-\u0e3a\u0e40-\u0e4e\u0e80-\u0ede\u0f40-\u0fbc\u1000-\u1049\u1780-\u17d3"
# Combining marks belong to their word, but `\w` does not match them.
_ACCENTS = "\u0300-\u036f\u0483-\u0489"
_MARKS = (
    f"{_ACCENTS}\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff\u200c\u200d"
)
_EMOJI = "\u2600-\u27bf\U0001f300-\U0001faff"

_VERSION = r"[vV]?\d+(?:\.\d+)+"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\w)"
_LANGUAGE = r"[A-Za-z](?:\+\+|\#(?!\w))"
# Nearly all words begin with two letters, and none of the above does, so this is tried first.
_PLAIN = r"[A-Za-z_]{2}\w*(?:'\w+)?"
_ASCII_WORD = re.compile(rf"{_PLAIN}|{_VERSION}|{_NUMBER}|{_LANGUAGE}|\w+(?:'\w+)?", re.ASCII)
# The patterns of other scripts are compiled when a text needs them: that takes as long as the rest
# of this module's import, which a search in the shell would wait for.
_WORD = (
    rf"{_VERSION}|{_NUMBER}|{_LANGUAGE}|[{_CJK}]+|[{_UNSPACED}]+|[{_EMOJI}]"
    rf"|(?:(?![{_CJK}{_UNSPACED}])[\w{_MARKS}])+(?:['\u2019][\w{_MARKS}]+)?"
)
# Most text that is not ASCII only has accents, dashes and curly quotes: this pattern is faster.
_LETTERS_ONLY = re.compile("[\x00-\u058f\u1e00-\u25ff]*")
_EUROPEAN_WORD = re.compile(
    rf"{_VERSION}|{_NUMBER}|{_LANGUAGE}|[\w{_ACCENTS}]+(?:['\u2019][\w{_ACCENTS}]+)?"
)
_CJK_RUN = f"[{_CJK}]+"
_UNSPACED_RUN = f"[{_UNSPACED}]+"
# Where an identifier is split: HTTP|Server, get|HTTP, utf|8, snake|_case.
_SPLIT = re.compile(
    r"_+|(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    r"|(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])"
)
_ACCENTED = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\u0300-\u036f]+")
_QUOTED = re.compile(r'"([^"]+)"|\u201c([^\u201d]+)\u201d|`([^`]+)`')
# `conf*`, but neither `a*b` nor `**bold**`.
_PREFIX = re.compile(r"(?<![\w*])(\w{2,})\*(?![\w*])")
# `notes.md`, `src/search`, `.gitignore`; versions and sentences have no letter after the point.
_PATH = re.compile(r"[\w.@~+-]*(?:[/\\][\w.@~+-]+)+|[\w@~+-]*\.[A-Za-z]\w{0,11}(?![\w.])")

# fmt: off
# A short list: words like get, find and list have a meaning in code and titles.
STOP_WORDS = frozenset("""
a about am an and any are as at be been being but by can could did do does for from had has have he
her him his how i if in into is it its may me might my no not of on or our she should so such than
that the their them then there these they this those to too was we were what when where which who
whom whose why will with would you your
""".split())
# fmt: on

_ENGLISH = frozenset(
    "and are did does had have how is of that the their this were what when where which who whose"
    " why with would".split()
)
"""Stop words that no language with accents has: what is asked with them has no compounds."""


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """The terms of a query.

    `terms` are distinct and in the query's order; `counts` says how often each occurs. `stop_words`
    are searched only when nothing else is left. `pairs` are adjacent terms. `phrases` are what the
    user put in quotes, as sequences of terms. `prefixes` are beginnings of words, written with a
    star. `paths` are file names and parts of paths, as sequences of terms. `spellings` has the word
    in lower case of each term that is the stem of one. `parts` are beginnings and ends of words.
    `unspaced`: some of it is in a script without spaces, where a word has several terms.
    """

    terms: tuple[str, ...]
    counts: Mapping[str, int]
    stop_words: tuple[str, ...] = ()
    pairs: frozenset[tuple[str, str]] = frozenset()
    phrases: tuple[tuple[str, ...], ...] = ()
    parts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict[str, str])
    unspaced: bool = False

    @property
    def searched(self) -> Mapping[str, int]:
        """The terms to search for, with how often each counts."""
        wanted = self.counts if self.terms or self.parts else dict.fromkeys(self.stop_words, 1)
        return {**wanted, **dict.fromkeys(self.parts, 1)}


def lexemes(text: str) -> list[str]:
    """Return the terms of a text, in order; an identifier is followed by its parts."""
    return list(chain.from_iterable(map(_expand, _words(text))))


def index_terms(text: str) -> list[str]:
    """Return the terms to index a text by: its lexemes, then the parts of its words.

    Only texts in a language with accents have parts: ASCII text costs and weighs what it did. They
    come last, so that phrases are found as before.
    """
    if text.isascii():
        return lexemes(text)
    words = _words(text)
    terms = list(chain.from_iterable(map(_expand, words)))
    if _is_accented(words):
        terms += chain.from_iterable(map(_parts, words))
    return terms


@lru_cache(maxsize=32)
def query_terms(text: str) -> QueryTerms:
    """Return the terms of a query by the rules of `lexemes`, with stop words separate."""
    counts: Counter[str] = Counter()
    stop_words: dict[str, None] = {}
    pairs: set[tuple[str, str]] = set()
    spellings: dict[str, str] = {}
    before: str | None = None
    unspaced = False
    for word in _words(text):
        expanded = _expand(word)
        # IT and US are not the stop words it and us.
        if word.casefold() in STOP_WORDS and not (word.isupper() and len(word) > 1):
            stop_words.update(dict.fromkeys(expanded))
            before = None
            continue
        counts.update(expanded)
        if _is_unspaced(word):
            # The terms overlap: which follows which has been counted by the terms themselves.
            before, unspaced = None, True
            continue
        if len(expanded) == 1:
            spellings[expanded[0]] = word.casefold()
        for term in expanded:
            if before is not None and before != term:
                pairs.add((before, term))
            before = term
    quoted = (lexemes(next(filter(None, found.groups()))) for found in _QUOTED.finditer(text))
    prefixes = (fold(found[1].strip("_"))[:MAX_TERM] for found in _PREFIX.finditer(text))
    paths = (tuple(lexemes(found[0])) for found in _PATH.finditer(text))
    return QueryTerms(
        terms=tuple(counts),
        counts=counts,
        stop_words=tuple(word for word in stop_words if word not in counts),
        pairs=frozenset(pairs),
        phrases=tuple(dict.fromkeys(tuple(run) for run in quoted if len(run) > 1)),
        parts=tuple(_parts_of(text)),
        prefixes=tuple(dict.fromkeys(prefix for prefix in prefixes if len(prefix) > 1)),
        paths=tuple(dict.fromkeys(path for path in paths if path)),
        spellings=spellings,
        unspaced=unspaced,
    )


def misspelt(word: str) -> set[str]:
    """Return the terms of the words that a word in lower case may be a misspelling of.

    One letter is missing, added or wrong, or two are exchanged.
    """
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    variants = {before + after[1:] for before, after in halves if after}
    variants.update(a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1)
    for letter in ascii_lowercase:
        variants.update(before + letter + after for before, after in halves)
        variants.update(before + letter + after[1:] for before, after in halves if after)
    return set(_stems(sorted(variants - {word, ""})))


def _is_accented(words: Sequence[str]) -> bool:
    """Return whether the words are of a language with accents, not only names in English."""
    accented = sum(1 for word in words if _ACCENTED.search(word))
    return accented > max(1.0, ACCENTED_WORDS * len(words))


def _parts_of(query: str) -> dict[str, None]:
    """Return the parts of a query's words; none if it is recognisably English."""
    words = _words(query)
    if any(word.casefold() in _ENGLISH for word in words):
        return {}
    wanted = (word for word in words if word.casefold() not in STOP_WORDS)
    return dict.fromkeys(chain.from_iterable(map(_parts, wanted)))


@lru_cache(maxsize=1 << 14)
def _parts(word: str) -> tuple[str, ...]:
    """Return the beginning and the end of a word in Latin letters.

    A compound begins with one of its parts and ends with another (Miet|vertrag), and an inflected
    word keeps its beginning. The underscore keeps them apart from words.
    """
    if not _LATIN.fullmatch(word):
        return ()
    word = fold(word)
    if len(word) < PART_LENGTH:
        return ()
    return tuple({f"_{word[:PART_LENGTH]}": None, f"_{word[-PART_LENGTH:]}": None})


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text)
    text = unicodedata.normalize("NFKC", text)
    return re.findall(_EUROPEAN_WORD if _LETTERS_ONLY.fullmatch(text) else _WORD, text)


@lru_cache(maxsize=1 << 16)
def _expand(word: str) -> tuple[str, ...]:
    """Return the terms of one word."""
    if word.isascii() and word.isalpha() and (word.islower() or word[1:].islower()):
        return tuple(_stems((word.lower(),)))
    if not word.isascii():
        if re.fullmatch(_CJK_RUN, word):
            return tuple(_characters_and_pairs(word))
        if re.fullmatch(_UNSPACED_RUN, word):
            return tuple(word[i : i + 3] for i in range(max(1, len(word) - 2)))
    if word[-1] in "+#":
        return (word.lower(),)
    if "," in word:
        return (word.replace(",", ""),)
    if "." in word:
        version = word.lstrip("vV")
        return (version, *version.split("."))
    word = _without_apostrophes(word)
    folded = (fold(part) for part in _SPLIT.split(word) if part)
    parts = [part for part in folded if part]  # a mark alone folds to nothing
    if len(parts) < 2:
        return tuple(_stems(parts))
    return (fold(word.strip("_"))[:MAX_TERM], *_stems(parts))


def _is_unspaced(word: str) -> bool:
    """Return whether a word is a run of a script without spaces, whose terms overlap."""
    return not word.isascii() and bool(
        re.fullmatch(_CJK_RUN, word) or re.fullmatch(_UNSPACED_RUN, word)
    )


def _characters_and_pairs(run: str) -> Iterator[str]:
    for i, character in enumerate(run):
        # One hiragana is a particle or an ending, and in nearly every text.
        if len(run) == 1 or not "\u3041" <= character <= "\u309f":
            yield character
        if i + 1 < len(run):
            yield run[i : i + 2]


def _without_apostrophes(word: str) -> str:
    word = word.replace("\u2019", "'")
    return word.removesuffix("'s").removesuffix("'S").replace("'", "")


def _stems(parts: Sequence[str]) -> Iterator[str]:
    return filter(None, chain.from_iterable(stems(part[:MAX_TERM]) for part in parts))
