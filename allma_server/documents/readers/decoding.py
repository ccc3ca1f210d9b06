"""Decode bytes to text: find the encoding of a file, even if it declares another one."""

import codecs
import contextlib
import re
import unicodedata
from typing import TYPE_CHECKING

from allma_server.errors import NothingToIndex

if TYPE_CHECKING:
    from chardet import DetectionDict

_BOMS = (  # the longer ones first: UTF-32LE begins like UTF-16LE
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
    r"""Decode `data`; every line ends with one `\n`, and there is no lone surrogate.

    In this order: a byte order mark, an encoding that only fits such bytes (UTF-8, UTF-16, UTF-32,
    ISO-2022-JP), the encoding that the file declares, and the most likely one by statistics.

    Raises:
        NothingToIndex: it is binary data.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _normalize_newlines(data.decode(encoding, "replace"))
    damaged = b"\0" in data
    if damaged:
        if (wide := _decode_wide(data)) is not None:
            return _normalize_newlines(wide)
        data = _replace_nul(data)
    if b"\x1b$" in data and _ISO_2022_JP.search(data):
        return _normalize_newlines(data.decode("iso2022_jp_ext", "replace"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _decode_declared(data, declared) or _decode_guessed(data)
    if damaged:
        text = text.replace("\x1a", "\ufffd")
    controls = len(_BINARY.findall(text[:_SAMPLE]))
    if controls > len(text[:_SAMPLE]) * 0.05:
        raise _binary_error()
    return _normalize_newlines(text)


def _normalize_newlines(text: str) -> str:
    # Editors count a lone CR as a line end, and line numbers must agree with theirs.
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _binary_error() -> NothingToIndex:
    return NothingToIndex("It is binary data, not text.")


_MIN_NUL_SHARE = 0.3
"""Latin text in UTF-16 is half NUL bytes; a smaller share may be damage."""


def _decode_wide(data: bytes) -> str | None:
    """Decode UTF-16 or UTF-32 without a byte order mark; None when the NUL bytes do not fit."""
    widths = (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2))
    narrow = data.replace(b"\0", b"")
    if len(data) - len(narrow) < _MIN_NUL_SHARE * len(data):
        sample = narrow[:_SAMPLE]
        controls = len(_CONTROLS.findall(sample))
        readable = len(_READABLE.findall(sample))
        if controls <= 0.05 * len(sample) and (readable > 0.7 * len(sample) or _is_utf8(narrow)):
            return None
    elif (data[::2].count(0) > len(data) / 20) == (data[1::2].count(0) > len(data) / 20):
        widths = tuple(
            width for width in widths if width[1] == 4
        )  # NUL bytes at both even and odd offsets
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
    # In the wrong byte order, Latin text and white space become CJK or unassigned characters.
    latin = (sum(c < "\u0250" for c in text[:_SAMPLE]) / len(text) for text in candidates)
    return max(zip(latin, candidates, strict=True), default=(0.0, None))[1]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _replace_nul(data: bytes) -> bytes:
    """Replace each run of NUL bytes with SUB, the control character for damaged data.

    Logs have long runs of NUL bytes after a power failure.

    Raises:
        NothingToIndex: there are more runs than in damaged text.
    """
    text, runs = _NULS.subn(b"\x1a", data)
    if runs > 3 + len(text) / 200 or not _READABLE.search(text):
        raise _binary_error()
    return text


# As browsers do: declared names stand for supersets, which files with these names use in fact.
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
# Encodings of host names and source code: no file has them, and some decode very slowly.
_NOT_FILE_ENCODINGS = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}


def _decode_declared(data: bytes, encoding: str | None) -> str | None:
    try:
        name = codecs.lookup(encoding).name if encoding else ""
    except LookupError:
        return None
    for candidate in (_SUPERSETS.get(name), name):
        if candidate and candidate not in _NOT_FILE_ENCODINGS:
            with contextlib.suppress(LookupError, UnicodeError):
                return data.decode(candidate)
    return None


def _decode_guessed(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    beyond_ascii = sum(not c.isascii() for c in text)
    if beyond_ascii > 10 * text.count("\ufffd"):
        return text  # UTF-8 with a few damaged bytes
    return data.decode(_guess_encoding(_non_ascii_lines(data)), "replace")


# --- statistics ---------------------------------------------------------------------------------

# The encodings that browsers detect, with their supersets, and those of DOS and old Macs. Rare ones
# (ISO-8859-3, -4, -10, -14, -16) are excluded: a short text fits them by chance.
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
_ISOLATED_BYTE = re.compile(rb"(?<![A-Za-z\x80-\xff])[\x80-\xff](?![A-Za-z\x80-\xff])")
"""A byte without letters beside it: a dash or a symbol, which does not indicate a language."""
_NEXT_TO_ASCII = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")
_PUNCTUATION_IN_WORD = re.compile(
    rb"[A-Za-z\x80-\xff][\x80-\x91\x93-\xbf][A-Za-z\x80-\xff]|"
    rb"[A-Za-z][\x82\x88\x8a\x8d-\x8f\x95\x98\x9d](?![A-Za-z])"
)
"""A letter in DOS and Mac encodings that is punctuation in Windows; there, words have only ’."""

_LINE_CONTEXT = 200
"""Bytes of a line that are sampled before its first byte beyond ASCII."""

_MIN_CONFIDENCE = 0.001
"""The confidence in an encoding that the detector did not find, so that it is not excluded."""

_CP1252_BONUS = 0.3
"""How much more likely Windows-1252 is than similar encodings, if only one word differs."""


def _non_ascii_lines(data: bytes) -> bytes:
    """Return a sample of the lines of `data` that are not ASCII."""
    lines: list[bytes] = []
    size = at = 0
    while size < _SAMPLE and (odd := _BEYOND_ASCII.search(data, at)):
        first = odd.start()
        start = max(at, first - _LINE_CONTEXT, data.rfind(b"\n", at, first) + 1)
        end = data.find(b"\n", first, first + _SAMPLE)
        at = end if end >= 0 else first + _SAMPLE
        lines.append(data[start:at])
        size += at - start
    return b"\n".join(lines)[:_SAMPLE]


def _guess_encoding(sample: bytes) -> str:
    """Return the encoding in which `sample` is most similar to a language.

    Raises:
        NothingToIndex: no encoding fits.
    """
    words = [word for word in _ISOLATED_BYTE.sub(b" ", sample).split() if not word.isascii()]
    if not words:
        return "cp1252"
    candidates = _candidates(sample, words)
    guesses = _detect(sample, candidates)
    best = guesses[0]
    weights = {"cp1252": 1 + _CP1252_BONUS / len(words)}
    if best["language"] == "en":
        # English needs only ASCII, so it does not help to decode a name, a quotation or a comment
        # inside it. Detect the words beyond ASCII by themselves, too.
        for guess in guesses:
            name = guess["encoding"] or ""
            weights[name] = (
                weights.get(name, 1.0) * (guess["confidence"] + _MIN_CONFIDENCE) / _MIN_CONFIDENCE
            )
        guesses = _detect(b" ".join(words), candidates)
    if best["language"] == "en" or best["encoding"] in _LATIN:
        best = max(guesses, key=lambda guess: _weighted(guess, weights))
    if best["encoding"] is None:
        raise _binary_error()
    # As on the web, ISO-8859-1 means Windows-1252.
    return "cp1252" if best["encoding"] == "iso8859-1" else best["encoding"]


def _weighted(guess: "DetectionDict", weights: dict[str, float]) -> float:
    return (guess["confidence"] + _MIN_CONFIDENCE) * weights.get(guess["encoding"] or "", 1.0)


def _candidates(sample: bytes, words: list[bytes]) -> list[str]:
    """Return the encodings that a text with these words beyond ASCII can have."""
    if sample.count(b"@") > len(sample) / 20:  # the space of EBCDIC
        return [*_EBCDIC]
    names: list[str] = [*_LATIN, *_MULTIBYTE]
    # A word has letters of one alphabet only.
    if sum(_NEXT_TO_ASCII.search(word) is not None for word in words) <= len(words) / 2:
        names += _OTHER_ALPHABETS
    if _PUNCTUATION_IN_WORD.search(sample):
        names += _DOS_AND_MAC
    if _ISO_CONTROL.search(sample):
        names = [name for name in names if not name.startswith("iso")]
    return names


def _detect(sample: bytes, candidates: list[str]) -> "list[DetectionDict]":
    # It is slow to import, and most text is UTF-8.
    from chardet import detect_all

    return detect_all(
        sample, ignore_threshold=True, compat_names=False, include_encodings=candidates
    )
