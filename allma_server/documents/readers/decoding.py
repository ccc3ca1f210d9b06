"""Bytes to text: which encoding a file is in, whatever it says of itself."""

import codecs
import contextlib
import re
import unicodedata
from typing import TYPE_CHECKING

from allma_server.errors import NothingToIndex

if TYPE_CHECKING:
    from chardet import DetectionDict

_BOMS = (  # the longer first: UTF-32LE begins like UTF-16LE
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ISO_2022_JP = re.compile(rb"\x1b\$[@B].{2,}?\x1b\([BJ]", re.DOTALL)
_SAMPLE = 1 << 16
_NULS = re.compile(rb"\0+")
_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
_READABLE = re.compile(rb"[\t\n\r\x20-\x7e]")
_BINARY = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


def decode(data: bytes, declared: str | None = None) -> str:
    r"""The text in `data`, with every line ended by one `\n` and no lone surrogate.

    A byte order mark is believed first, then what the bytes can only be, then the encoding the
    file declares for itself, and last what statistics say.

    Raises:
        NothingToIndex: it is binary data.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _lines(data.decode(encoding, "replace"))
    damaged = b"\0" in data
    if damaged:
        if (wide := _wide(data)) is not None:
            return _lines(wide)
        data = _without_nul(data)
    if b"\x1b$" in data and _ISO_2022_JP.search(data):
        return _lines(data.decode("iso2022_jp_ext", "replace"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _declared(data, declared) or _guessed(data)
    if damaged:
        text = text.replace("\x1a", "\ufffd")
    controls = len(_BINARY.findall(text[:_SAMPLE]))
    if controls > len(text[:_SAMPLE]) * 0.05:
        raise _binary()
    return _lines(text)


def _lines(text: str) -> str:
    # Editors count a lone CR as a line end, so it must be one here for line numbers to agree.
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _binary() -> NothingToIndex:
    return NothingToIndex("It is binary data, not text.")


_WIDE_SHARE = 0.3
"""NUL bytes in text of Latin letters at two bytes each are half of it; fewer may be accidents."""


def _wide(data: bytes) -> str | None:
    """The text of UTF-16 or UTF-32 without a mark; None when the NUL bytes make no such pattern."""
    widths = (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2))
    narrow = data.replace(b"\0", b"")
    if len(data) - len(narrow) < _WIDE_SHARE * len(data):
        sample = narrow[:_SAMPLE]
        controls = len(_CONTROLS.findall(sample))
        readable = len(_READABLE.findall(sample))
        if controls <= 0.05 * len(sample) and (readable > 0.7 * len(sample) or _decodes(narrow)):
            return None
    elif (data[::2].count(0) > len(data) / 20) == (data[1::2].count(0) > len(data) / 20):
        widths = tuple(width for width in widths if width[1] == 4)  # NUL bytes all over the place
    candidates: list[str] = []
    for encoding, width in widths:
        try:
            text = data[: len(data) - len(data) % width].decode(encoding)
        except UnicodeDecodeError:
            continue
        sample = text[:_SAMPLE]
        odd = sum(
            unicodedata.category(c) in ("Cc", "Cn", "Co") for c in sample if c not in "\t\r\n"
        )
        if sample and "\0" not in text and odd <= len(sample) * 0.02:
            candidates.append(text)
    # Read in the wrong byte order, Latin text and white space become CJK or unassigned.
    latin = (sum(c < "\u0250" for c in text[:_SAMPLE]) / len(text) for text in candidates)
    return max(zip(latin, candidates, strict=True), default=(0.0, None))[1]


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_nul(data: bytes) -> bytes:
    """`data` with SUB, the control character for what is damaged, in the place of NUL bytes.

    A machine that lost power leaves long runs of them in its logs. Raises NothingToIndex when
    there are more runs than in damaged text.
    """
    text, runs = _NULS.subn(b"\x1a", data)
    if runs > 3 + len(text) / 200 or not _READABLE.search(text):
        raise _binary()
    return text


# As on the web: who writes the first means the second, whose characters are the same and more.
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Names of the web in text, and of source code: no file is in them, and some take very long.
_NOT_OF_FILES = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}


def _declared(data: bytes, encoding: str | None) -> str | None:
    try:
        name = codecs.lookup(encoding).name if encoding else ""
    except LookupError:
        return None
    for candidate in (_SUPERSETS.get(name), name):
        if candidate and candidate not in _NOT_OF_FILES:
            with contextlib.suppress(LookupError, UnicodeError):
                return data.decode(candidate)
    return None


def _guessed(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    beyond_ascii = sum(not c.isascii() for c in text)
    if beyond_ascii > 10 * text.count("\ufffd"):
        return text  # UTF-8 with a few damaged bytes
    return data.decode(_likeliest(_telling(data)), "replace")


# --- statistics ---------------------------------------------------------------------------------

# What browsers choose between, with their supersets, and what DOS and the Mac wrote. Rare relatives
# (ISO-8859-3, -4, -10, -14, -16) are left out: a short text fits them by chance.
_LATIN = (
    "cp1250 cp1252 cp1254 cp1257 cp1258 iso8859-1 iso8859-2 iso8859-9 iso8859-13 iso8859-15"
).split()
_DOS_AND_MAC = "cp437 cp850 cp852 mac-roman".split()
_OTHER_ALPHABETS = (
    "cp1251 cp1253 cp1255 cp1256 cp874 iso8859-5 iso8859-6 iso8859-7 iso8859-8 koi8-r koi8-u cp866"
).split()
_EBCDIC = "cp500 cp1140 cp273".split()
_MULTIBYTE = "gb18030 big5hkscs cp949 euc_jis_2004 cp932".split()

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_ISO_CONTROL = re.compile(rb"[\x80-\x9f]")
_SYMBOL = re.compile(rb"(?<![A-Za-z\x80-\xff])[\x80-\xff](?![A-Za-z\x80-\xff])")
"""A byte with no letter beside it: a dash or a sign, which tells no language."""
_BESIDE_LATIN = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")
_SIGN_IN_WORD = re.compile(
    rb"[A-Za-z\x80-\xff][\x80-\x91\x93-\xbf][A-Za-z\x80-\xff]|"
    rb"[A-Za-z][\x82\x88\x8a\x8d-\x8f\x95\x98\x9d](?![A-Za-z])"
)
"""A letter of DOS and the Mac where Windows has punctuation, of which only ’ is inside of words."""

_LEAD = 200
"""Bytes of a line that are looked at before its first that is not ASCII."""

_DOUBT = 0.001
"""Confidence in an encoding that was not found at all, so that it can still be right."""

_COMMON = 0.3
"""How much more likely Windows-1252 is than its relatives, with one word to tell them by."""


def _telling(data: bytes) -> bytes:
    """The lines of `data` that are not ASCII, as many as make a sample."""
    lines: list[bytes] = []
    size = at = 0
    while size < _SAMPLE and (odd := _BEYOND_ASCII.search(data, at)):
        first = odd.start()
        start = max(at, first - _LEAD, data.rfind(b"\n", at, first) + 1)
        end = data.find(b"\n", first, first + _SAMPLE)
        at = end if end >= 0 else first + _SAMPLE
        lines.append(data[start:at])
        size += at - start
    return b"\n".join(lines)[:_SAMPLE]


def _likeliest(sample: bytes) -> str:
    """The encoding in which `sample` reads most like one of the languages written in it.

    Raises:
        NothingToIndex: it is text in no encoding.
    """
    words = [word for word in _SYMBOL.sub(b" ", sample).split() if not word.isascii()]
    if not words:
        return "cp1252"
    candidates = _candidates(sample, words)
    guesses = _ranked(sample, candidates)
    best = guesses[0]
    weights = {"cp1252": 1 + _COMMON / len(words)}
    if best["language"] == "en":
        # English needs nothing but ASCII: it surrounds a name, a quotation or a comment in source
        # code, and says nothing of their letters. So these are judged by themselves, too.
        for guess in guesses:
            name = guess["encoding"] or ""
            weights[name] = weights.get(name, 1.0) * (guess["confidence"] + _DOUBT) / _DOUBT
        guesses = _ranked(b" ".join(words), candidates)
    if best["language"] == "en" or best["encoding"] in _LATIN:
        best = max(guesses, key=lambda guess: _weighted(guess, weights))
    if best["encoding"] is None:
        raise _binary()
    # On the web, too, ISO-8859-1 is a name of Windows-1252.
    return "cp1252" if best["encoding"] == "iso8859-1" else best["encoding"]


def _weighted(guess: "DetectionDict", weights: dict[str, float]) -> float:
    return (guess["confidence"] + _DOUBT) * weights.get(guess["encoding"] or "", 1.0)


def _candidates(sample: bytes, words: list[bytes]) -> list[str]:
    """The encodings that text with these words beyond ASCII can be in."""
    if sample.count(b"@") > len(sample) / 20:  # the space of EBCDIC
        return [*_EBCDIC]
    names: list[str] = [*_LATIN, *_MULTIBYTE]
    # No word is written in letters of two alphabets.
    if sum(_BESIDE_LATIN.search(word) is not None for word in words) <= len(words) / 2:
        names += _OTHER_ALPHABETS
    if _SIGN_IN_WORD.search(sample):
        names += _DOS_AND_MAC
    if _ISO_CONTROL.search(sample):
        names = [name for name in names if not name.startswith("iso")]
    return names


def _ranked(sample: bytes, candidates: list[str]) -> "list[DetectionDict]":
    # Heavy, and most text is UTF-8.
    from chardet import detect_all

    return detect_all(
        sample, ignore_threshold=True, compat_names=False, include_encodings=candidates
    )
