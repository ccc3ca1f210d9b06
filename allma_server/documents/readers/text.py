"""Plain text, and the cleaning that every reader's text goes through."""

import re
import unicodedata
from pathlib import PurePath

from allma_server.documents.readers.decoding import decode
from allma_server.errors import NothingToIndex
from allma_server.types import Extract, Section, SectionKind

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


def read(data: bytes, path: PurePath) -> Extract:
    """Return the text with its lines as they are; also for unknown suffixes, if it is text."""
    return whole(decode(data))


def whole(text: str, kind: SectionKind = "text") -> Extract:
    """`text`, cleaned, as a document of one section. Raises NothingToIndex when it is blank."""
    text = clean(without_blobs(text))
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    return Extract(text, (Section(0, len(text), kind),))


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
