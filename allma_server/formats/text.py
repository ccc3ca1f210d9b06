"""Plain text in any encoding, and the cleaning that every reader's text goes through."""

import codecs
import re
import unicodedata
from pathlib import PurePath

from allma_server.errors import NothingToIndex
from allma_server.model import Extract, Section, SectionKind

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
# Letters that only languages of Central Europe have, in their encodings, inside of words.
_CENTRAL = re.compile(rb"[A-Za-z][\x9a\x9c-\x9f\xa5\xb1\xb3\xb6\xb9\xba\xbc\xbe\xbf\xec\xf5\xf8]")
_TURKISH = re.compile(rb"[A-Za-z][\xf0\xfd\xfe]")
_ICELANDIC = re.compile(rb"[\xe1\xe6\xed\xf3\xfa]")
_CYRILLIC = ("cp1251", "koi8_r", "iso8859_5", "cp866")


class TextReader:
    """Text whose lines are kept as they are; also for suffixes nobody knows, if it is text."""

    name = "text"
    suffixes = frozenset(
        ".txt .text .log .rst .adoc .asciidoc .org .tex .bib .ini .cfg .conf .toml .yaml .yml "
        ".properties .env .srt .vtt .ics .vcf .diff .patch .po .pot .nfo "
        ".list".split()
    )

    def read(self, data: bytes, path: PurePath) -> Extract:
        return whole(decode(data))


def whole(text: str, kind: SectionKind = "text") -> Extract:
    """`text`, cleaned, as a document of one section. Raises NothingToIndex when it is blank."""
    text = clean(without_blobs(text))
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    return Extract(text, (Section(0, len(text), kind),))


# --- bytes to text ------------------------------------------------------------------------------


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
    except UnicodeDecodeError as exc:
        text = _declared(data, declared) or _guessed(data, exc.start)
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


def _declared(data: bytes, encoding: str | None) -> str | None:
    try:
        return data.decode(encoding) if encoding else None
    except (LookupError, UnicodeError):
        return None


def _guessed(data: bytes, first_odd: int) -> str:
    text = data.decode("utf-8", "replace")
    beyond_ascii = sum(not c.isascii() for c in text)
    if beyond_ascii > 10 * text.count("\ufffd"):
        return text  # UTF-8 with a few damaged bytes
    # Heavy, and most text is UTF-8.
    from charset_normalizer import from_bytes

    start = max(data.rfind(b"\n", 0, max(0, first_odd - _SAMPLE // 2)) + 1, 0)
    end = start + _SAMPLE
    if end < len(data):
        end = max(data.rfind(b"\n", first_odd + 1, end) + 1, first_odd + 1)
    sample = data[start:end]
    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        raise _binary()
    encoding = best.encoding
    if best.coherence == 0:
        # Too little text to know a language by: of what is equally plausible, the most common.
        tied = {name for m in matches if m.chaos <= best.chaos for name in m.could_be_from_charset}
        sparse = sum(byte > 127 for byte in sample) < len(sample) / 4
        common = "cp1252" if sparse else "cp1251"
        encoding = common if common in tied else encoding
    return data.decode(_likelier(encoding, sample), "replace")


def _likelier(encoding: str, sample: bytes) -> str:
    """`encoding`, or one that is easily taken for it and fits the letters in `sample` better."""
    if encoding in ("cp1250", "iso8859_2") and not _CENTRAL.search(sample):
        encoding = "cp1252"
    if encoding in ("cp1252", "iso8859_1", "iso8859_15"):
        turkish = _TURKISH.search(sample) and not _ICELANDIC.search(sample)
        return "cp1254" if turkish else encoding
    text = sample.decode(encoding, "replace")
    beyond_ascii = sum(not c.isascii() for c in text)
    if sum("\uff61" <= c <= "\uff9f" for c in text) > 0.3 * beyond_ascii:
        # Half-width kana, which nobody writes: single bytes taken for Japanese.
        return max(_CYRILLIC, key=lambda name: _lower_cyrillic(sample, name))
    return encoding


def _lower_cyrillic(sample: bytes, encoding: str) -> int:
    return sum("\u0430" <= c <= "\u044f" for c in sample.decode(encoding, "replace"))


# --- text as people should meet it --------------------------------------------------------------

_BINARY = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])?")
_INVISIBLE = (
    "\u00ad\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb"
)
_SPELLED_OUT = "\ufb00-\ufb06\ufb50-\ufdfb\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
_ODD = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}{_SPELLED_OUT}\ud800-\udfff]")
_SPACES = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_VISIBLE = re.compile(r"[^\s\u200c\u200d\u2800\u3164\ufe00-\ufe0f]")
_DATA_URI = re.compile(r"(\bdata:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,)[A-Za-z0-9+/=_-]{40,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{500,}={0,2}")
_BASE64_LINES = re.compile(r"^[A-Za-z0-9+/]{60,}\n(?:[A-Za-z0-9+/]{60,}\n){2,}", re.MULTILINE)


def clean(text: str) -> str:
    r"""`text` as it should be searched and shown; `\n` is never touched, so lines hold.

    Terminal escapes, control, bidirectional and other invisible characters go (they hide words
    from search and intentions from readers). Letters are composed (NFC). Only ligatures, Arabic
    presentation forms and full-width letters and digits are replaced by what they stand for:
    the whole of NFKC would turn x² into x2.
    """
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if _ODD.search(text):
        text = _ODD.sub(_plain, text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _plain(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    if _SPACES.match(char):
        return " "
    if char < "\xa0" or unicodedata.category(char) == "Cf":
        return ""
    return unicodedata.normalize("NFKC", char)


def is_blank(text: str) -> bool:
    """Whether there is nothing in `text` that a person could see."""
    return _VISIBLE.search(text) is None


def without_blobs(text: str) -> str:
    """`text` with base64 payloads (embedded images, keys, attachments) elided within their line."""
    if "base64," in text:
        text = _DATA_URI.sub(r"\1…", text)
    return _BASE64_LINES.sub(_elided, _BASE64.sub(_elided, text))


def _elided(match: re.Match[str]) -> str:
    blob = match[0]
    kinds = (str.isupper, str.islower, str.isdigit)
    return "…" + "\n" * blob.count("\n") if all(any(map(k, blob)) for k in kinds) else blob
