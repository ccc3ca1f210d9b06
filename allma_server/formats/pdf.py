"""PDF: one section per page, so that an answer can name the page."""

import logging
import re
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.formats.draft import Draft
from allma_server.formats.pdf_cids import unicode_table
from allma_server.formats.pdf_operators import Operation, text_operations
from allma_server.model import Extract, Section

if TYPE_CHECKING:
    import pypdf
    from pypdf.generic import ContentStream

_UNPACKED_LIMIT = 32 << 20
"""The most a stream may unpack to, in bytes."""

_MOST_NOTES = 2000
"""Form fields and notes that are looked at on one page; drawings can consist of them."""

_PAGE = re.compile(
    rb"\b(\d{1,7}) (\d{1,5}) obj\b(?:(?!endobj).){0,2000}?/Type\s*/Page\b", re.DOTALL
)
_BROKEN_WORD = re.compile(r"(\w+)[-\u00ad\u2010] *\n(\w+) ?")
_PROGRAM = re.compile(r"^Microsoft \w+ - |\.(?:docx?|pptx?|xlsx?|dvi|tex|indd|qxd|pdf)$", re.I)

# pypdf: "broken PDF files might cause other exceptions" than its own. These are what a parser
# that trusts its input runs into.
_STUMBLES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


class PdfReader:
    """Pages with a text layer, also of damaged files; pages that can't be read are left out."""

    name = "pdf"
    suffixes = frozenset({".pdf"})

    def read(self, data: bytes, path: PurePath) -> Extract:
        # Heavy, and the registry is loaded where nothing is parsed.
        from pypdf import apply_configuration

        if not data:
            raise NothingToIndex("The file is empty.")
        if b"%PDF-" not in data[:1024] and b" obj" not in data:
            raise UnreadableDocument("It is not a PDF, although its name says so.")
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        with apply_configuration(
            array_based_stream_maximum_output_length=_UNPACKED_LIMIT,
            lzw_maximum_output_length=_UNPACKED_LIMIT,
            run_length_maximum_output_length=_UNPACKED_LIMIT,
            zlib_maximum_output_length=_UNPACKED_LIMIT,
            jbig2dec_binary=None,  # no foreign program is ever run on a file
        ):
            return _read(*_opened(data))


def _read(document: "pypdf.PdfReader", pages: "list[pypdf.PageObject]") -> Extract:
    from pypdf.errors import DependencyError, DeprecationError, PyPdfError

    draft = Draft()
    unreadable: list[str] = []
    for number, page in enumerate(pages, start=1):
        text = ""
        try:
            text = _tidy(_with_meaning(_quickened(page)).extract_text())
        except (PyPdfError, DependencyError, DeprecationError, *_STUMBLES):
            unreadable.append(str(number))
        try:
            text = "\n".join([text, *_fields_and_notes(page)])
        except (PyPdfError, *_STUMBLES):
            pass  # the page's own text is what matters
        draft.add(text, Section(0, 0, page=number))
    if len(unreadable) == len(pages):
        raise UnreadableDocument("It is damaged: no page can be read.")
    return draft.extract(
        f"It has no text layer ({len(pages)} page{'s' * (len(pages) > 1)} without text): it may be "
        "a scan, which text recognition (OCR) would make searchable.",
        title=_title(document),
        metadata={"pages": str(len(pages)), "unreadable_pages": ", ".join(unreadable)},
    )


@cache
def _quick_content() -> "type[ContentStream]":
    """A content stream of pypdf that is taken apart by `pdf_operators` where that is possible."""
    from pypdf.generic import ArrayObject, ContentStream

    class QuickContent(ContentStream):
        @property
        def operations(self) -> list[Operation]:  # pyright: ignore[reportIncompatibleMethodOverride]
            quick = text_operations(self.get_data(), ArrayObject)
            return super().operations if quick is None else quick

    return QuickContent


def _quickened(page: "pypdf.PageObject") -> "pypdf.PageObject":
    from pypdf.generic import NameObject

    if (contents := page.get("/Contents")) is not None:
        content = _quick_content()(contents.get_object(), page.pdf, "bytes")
        page[NameObject("/Contents")] = content
    return page


def _with_meaning(page: "pypdf.PageObject") -> "pypdf.PageObject":
    """`page` with a table to Unicode for each CJK font that came without one."""
    from pypdf.generic import DecodedStreamObject, NameObject

    resources: Any = page.get("/Resources")
    fonts: Any = resources.get_object().get("/Font") if resources is not None else None
    for reference in fonts.get_object().values() if fonts is not None else ():
        font = reference.get_object()
        if "/ToUnicode" in font or font.get("/Encoding") not in ("/Identity-H", "/Identity-V"):
            continue
        system = font["/DescendantFonts"][0].get_object().get("/CIDSystemInfo")
        table = unicode_table(str(system.get_object().get("/Ordering"))) if system else None
        if table is not None:
            stream = DecodedStreamObject()
            stream.set_data(table)
            font[NameObject("/ToUnicode")] = stream
    return page


# --- opening ------------------------------------------------------------------------------------


def _opened(data: bytes) -> "tuple[pypdf.PdfReader, list[pypdf.PageObject]]":
    """The document and its pages; what is left of them when the file is damaged.

    Raises:
        UnreadableDocument: encrypted, or damaged beyond repair.
    """
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import DependencyError, DeprecationError, PyPdfError

    reason: Exception | None = None
    for repaired in (bytes, _with_new_end, _with_new_root):
        try:
            document = PdfReader(BytesIO(repaired(data)))
            if document.is_encrypted and document.decrypt("") is PasswordType.NOT_DECRYPTED:
                raise UnreadableDocument("A password is needed to open the document.")
            if pages := list(document.pages):
                return document, pages
        except (PyPdfError, DependencyError, DeprecationError, *_STUMBLES) as exc:
            reason = reason or exc
    if b"/Encrypt" in data:
        raise UnreadableDocument("It is encrypted in a way that cannot be opened.") from reason
    cause = str(reason or "it has no pages").rstrip(".")
    raise UnreadableDocument(f"It is damaged: {cause[:200]}.") from reason


def _with_new_end(data: bytes) -> bytes:
    """The file with an end that points nowhere, so that pypdf looks for the objects itself."""
    return data + b"\nstartxref\n0\n%%EOF\n"


def _with_new_root(data: bytes) -> bytes:
    """The file with a table of contents made of the pages that lie in it.

    Helps where the end of the file is missing or its page tree leads nowhere.
    """
    found = dict.fromkeys(match.groups() for match in _PAGE.finditer(data))
    kids = b" ".join(b"%b %b R" % reference for reference in found)
    return data + (
        b"\nendobj\n9999998 0 obj\n<</Type/Catalog/Pages 9999999 0 R>>\nendobj\n"
        b"9999999 0 obj\n<</Type/Pages/Kids[%b]/Count %d>>\nendobj\n"
        b"trailer\n<</Root 9999998 0 R/Size 10000000>>\nstartxref\n0\n%%%%EOF\n"
    ) % (kids, len(found))


# --- text ---------------------------------------------------------------------------------------


def _tidy(text: str) -> str:
    """The text of a page, with words put together again that were hyphenated at line ends."""
    text = _BROKEN_WORD.sub(lambda match: _mended(match, text), text)
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip()


def _mended(match: re.Match[str], text: str) -> str:
    left, right = match.groups()
    if not (left[-1].isalpha() and right[0].islower()):
        return match[0]
    # A compound is written with its hyphen elsewhere, too.
    hyphen = "-" if f"{left}-{right}" in text else ""
    return f"{left}{hyphen}{right}\n"


def _fields_and_notes(page: "pypdf.PageObject") -> Iterator[str]:
    """What was filled into a page's form fields or written beside it; it is not in its text."""
    for reference in islice(page.annotations or (), _MOST_NOTES):
        note: Any = reference.get_object()
        kind = note.get("/Subtype")
        if kind == "/Widget":
            filled, name = _inherited(note, "/V"), _inherited(note, "/T")
            if isinstance(filled, str) and filled not in ("/Off", ""):
                yield f"{name or 'field'}: {filled.removeprefix('/')}"
        elif kind in ("/Text", "/FreeText", "/Highlight", "/Underline", "/StrikeOut", "/Stamp"):
            if isinstance(written := note.get("/Contents"), str):
                yield written


def _inherited(field: Any, key: str) -> Any:
    for _ in range(10):
        if field is None or key in field:
            break
        field = field.get("/Parent")
        field = field.get_object() if field is not None else None
    found = field.get(key) if field is not None else None
    return found.get_object() if found is not None else None


def _title(document: "pypdf.PdfReader") -> str:
    from pypdf.errors import PyPdfError

    try:
        metadata = document.metadata
        title = (metadata.title if metadata else "") or ""
    except (PyPdfError, *_STUMBLES):
        return ""
    return "" if title.lower() == "untitled" else _PROGRAM.sub("", title)
