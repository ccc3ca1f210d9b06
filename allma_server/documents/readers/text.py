"""Plain text, and the cleaning that all readers apply to their text."""

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
_PRESENTATION_FORMS = (
    "\ufb00-\ufb06\ufb50-\ufdfb\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
)
_TO_REPLACE = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}{_PRESENTATION_FORMS}\ud800-\udfff]"
)
_SPACES = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_VISIBLE = re.compile(r"[^\s\u200c\u200d\u2800\u3164\ufe00-\ufe0f]")
_DATA_URI = re.compile(r"(\bdata:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,)[A-Za-z0-9+/=_-]{40,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{500,}={0,2}")
_BASE64_LINES = re.compile(r"^[A-Za-z0-9+/]{60,}\n(?:[A-Za-z0-9+/]{60,}\n){2,}", re.MULTILINE)


def read(data: bytes, path: PurePath) -> Extract:
    """Read plain text with its lines as they are; also used for unknown suffixes."""
    return extract_plain_text(decode(data))


def extract_plain_text(text: str, kind: SectionKind = "text") -> Extract:
    """Return `text`, cleaned, as a document of one section.

    Raises:
        NothingToIndex: it is blank.
    """
    text = clean(elide_base64(text))
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    return Extract(text, (Section(0, len(text), kind),))


def clean(text: str) -> str:
    r"""Return `text` as it should be searched and shown; `\n` stays, so line numbers stay.

    Remove terminal escapes, control, bidirectional and other invisible characters: they hide words
    from search and instructions from readers. Compose letters (NFC). Replace only ligatures, Arabic
    presentation forms and full-width letters and digits with their normal form, because NFKC as a
    whole would turn x² into x2.
    """
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if _TO_REPLACE.search(text):
        text = _TO_REPLACE.sub(_replacement, text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _replacement(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    if _SPACES.match(char):
        return " "
    if char < "\xa0" or unicodedata.category(char) == "Cf":
        return ""
    return unicodedata.normalize("NFKC", char)


def is_blank(text: str) -> bool:
    """Return whether `text` has no visible character."""
    return _VISIBLE.search(text) is None


def elide_base64(text: str) -> str:
    """Replace base64 payloads (embedded images, keys, attachments) with `…`; keep the lines."""
    if "base64," in text:
        text = _DATA_URI.sub(r"\1…", text)
    return _BASE64_LINES.sub(_elide, _BASE64.sub(_elide, text))


def _elide(match: re.Match[str]) -> str:
    blob = match[0]
    kinds = (str.isupper, str.islower, str.isdigit)
    return "…" + "\n" * blob.count("\n") if all(any(map(k, blob)) for k in kinds) else blob
