"""Give the spellings and inflected forms of a word the same term, by the word's script.

A script stands for its most frequent language: Ukrainian words go through the Russian stemmer, and
Marathi ones through that for Hindi. A stem need not be right, only the same for the forms of a word
in a text and in a query.
"""

import re
import unicodedata
from collections.abc import Callable

import Stemmer

# Equivalent spellings: vowel points, forms of alef, ya and kaf, final letters of Hebrew, the nukta
# and chandrabindu of Hindi, the Russian yo, Latin letters that have no decomposition, joiners, and
# digits of other scripts.
_VARIANTS = (
    dict.fromkeys([*range(0x591, 0x5C8), *range(0x610, 0x61B), 0x640, *range(0x64B, 0x660)], "")
    | {ord(a): b for a, b in zip("أإآٱىةیک", "اااايهيك", strict=True)}
    | {ord(a): b for a, b in zip("ךםןףץ", "כמנפצ", strict=True)}
    | {ord(a): b for a, b in zip("ıłøđħ", "ilodh", strict=True)}
    | {0x451: "\u0435", 0x93C: "", 0x901: "\u0902", 0x200C: "", 0x200D: ""}
    | {start + n: str(n) for start in (0x660, 0x6F0, 0x966) for n in range(10)}
)

# Light10 (Larkey, Ballesteros and Connell, 2002), the usual light stemmer for Arabic: "and" and
# the article with its prepositions. Snowball's stemmer then removes the suffixes.
_ARABIC_PREFIX = re.compile("^و?(?:بال|كال|فال|ال|لل)(?=..)|^و(?=...)")
_ARABIC_SUFFIX = re.compile("(?<=...)(?:ها|ان|ات|ون|ين|يه|ه|ي)$")
# "And, the, that, in, to, from, as" are written as part of a Hebrew word.
_HEBREW_PREFIX = re.compile("^[והשבלמכ](?=...)")
_HEBREW_SUFFIX = re.compile("(?<=...)(?:ימ|ות|ה|ת)$")
# हिन्दी and हिंदी, रुपये and रुपए: a nasal before a consonant, and a glide between vowels.
_HINDI_NASAL = re.compile("[ङञणनम]\u094d(?=[क-भ])")
_HINDI_GLIDE = re.compile("(?<=[ा-ौ])य(?=[ेी])|(?<=[क-ह])य(?=े$)")


def _stemmer(language: str) -> Callable[[str], str]:
    return Stemmer.Stemmer(language, 0).stemWord  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


_english, _russian, _greek = _stemmer("english"), _stemmer("russian"), _stemmer("greek")
_arabic, _hindi = _stemmer("arabic"), _stemmer("hindi")
_tamil = _stemmer("tamil")


def fold(word: str) -> str:
    """Return a word without case, accents and the spelling variants of its script."""
    word = word.casefold()
    return word if word.isascii() else _without_accents(word.translate(_VARIANTS))


def stems(word: str) -> tuple[str, ...]:
    """Return the stem of a folded word; for Hebrew, also of the word without its first letter.

    There, a prefix cannot be told from the beginning of a word.
    """
    if word.isascii():
        return (_english(word),) if word.isalpha() else (word,)
    for letters, stem in _STEMMERS:
        if letters[0] <= word[0] <= letters[1]:
            return stem(word)
    return (word,)


def _stem_arabic(word: str) -> tuple[str, ...]:
    return (_arabic(_ARABIC_SUFFIX.sub("", _ARABIC_PREFIX.sub("", word, count=1))),)


def _stem_hebrew(word: str) -> tuple[str, ...]:
    bare = _HEBREW_PREFIX.sub("", word, count=1)
    return tuple(_HEBREW_SUFFIX.sub("", form) for form in dict.fromkeys((word, bare)))


def _stem_hindi(word: str) -> tuple[str, ...]:
    return (_hindi(_HINDI_GLIDE.sub("", _HINDI_NASAL.sub("\u0902", word))),)


_STEMMERS: tuple[tuple[str, Callable[[str], tuple[str, ...]]], ...] = (
    ("\u0370\u03ff", lambda word: (_greek(word),)),
    ("\u0400\u052f", lambda word: (_russian(word),)),
    ("\u05d0\u05ea", _stem_hebrew),
    ("\u0620\u06ff", _stem_arabic),
    ("\u0900\u097f", _stem_hindi),
    ("\u0b80\u0bff", lambda word: (_tamil(word),)),
)
"""First and last letter of a script, and what stems its words."""


def _without_accents(word: str) -> str:
    """Remove accents of Latin and Greek letters; in other scripts marks are part of the word."""
    kept: list[str] = []
    for c in unicodedata.normalize("NFD", word):
        latin = bool(kept) and (kept[-1] < "\u0250" or "\u0370" <= kept[-1] < "\u0400")
        if not (latin and "\u0300" <= c <= "\u036f"):
            kept.append(c)
    return unicodedata.normalize("NFC", "".join(kept))
