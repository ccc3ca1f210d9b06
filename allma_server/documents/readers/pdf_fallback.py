"""Read with pypdf: form fields, annotations, attachments, and pages that pdfium cannot read.

pypdf is ten times slower than pdfium, but it searches a damaged file for its objects.
"""

import logging
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from itertools import islice
from typing import Any

from pypdf import PageObject, PasswordType, PdfReader, apply_configuration
from pypdf.errors import DependencyError, DeprecationError, PyPdfError
from pypdf.generic import EmbeddedFile

from allma_server.documents.readers.pdf_text import clean_page
from allma_server.errors import UnreadableDocument

_UNPACKED_LIMIT = 32 << 20
"""The size that a stream may unpack to, in bytes."""

_MAX_NOTES = 2000
"""Form fields and annotations that are read on one page; drawings can consist of thousands."""

_MAX_CHOICES = 200
_MAX_ATTACHMENTS = 200

_PAGE = re.compile(
    rb"\b(\d{1,7}) (\d{1,5}) obj\b(?:(?!endobj).){0,2000}?/Type\s*/Page\b", re.DOTALL
)

NOTES = frozenset(
    "/Text /FreeText /Highlight /Underline /Squiggly /StrikeOut /Stamp /Caret /Ink /Line /Square "
    "/Circle /Polygon /PolyLine /FileAttachment /Redact".split()
)
"""Annotations with contents that a person wrote."""

_OFF = frozenset({"", "/Off"})

# pypdf's documentation: "broken PDF files might cause other exceptions" than its own.
_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


class FallbackDocument:
    """A document that pypdf opens when it is first needed."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pages(self) -> list[tuple[str | None, tuple[str, ...]]]:
        """Return the text of each page, None when it cannot be read, and its annotations.

        Raises:
            UnreadableDocument: encrypted, or damaged beyond repair.
        """
        with _limits():
            _, pages = self._document
            return [(_text(page), _notes(page)) for page in pages]

    def text(self, index: int) -> str | None:
        """Return the text of page `index`, counted from 0; None when it cannot be read."""
        with _limits():
            page = self._page(index)
            return _text(page) if page is not None else None

    def notes(self, index: int) -> tuple[str, ...]:
        """Return the values of a page's form fields, and its annotations."""
        with _limits():
            page = self._page(index)
            return _notes(page) if page is not None else ()

    def title(self) -> str:
        """Return the title in the document's metadata, or an empty string."""
        try:
            with _limits():
                metadata = self._document[0].metadata
                return (metadata.title if metadata else "") or ""
        except (PyPdfError, *_PARSER_ERRORS):
            return ""

    def attachments(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield names and contents of attached files, None where these cannot be unpacked."""
        try:
            with _limits():
                for file in islice(self._document[0].attachment_list, _MAX_ATTACHMENTS):
                    yield file.alternative_name or file.name, _content(file)
        except (PyPdfError, UnreadableDocument, *_PARSER_ERRORS):
            return  # the document is indexed without them

    def _page(self, index: int) -> PageObject | None:
        try:
            _, pages = self._document
        except UnreadableDocument:
            return None
        return pages[index] if index < len(pages) else None

    @cached_property
    def _document(self) -> tuple[PdfReader, list[PageObject]]:
        return _open(self._data)


@contextmanager
def _limits() -> Generator[None]:
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with apply_configuration(
        array_based_stream_maximum_output_length=_UNPACKED_LIMIT,
        lzw_maximum_output_length=_UNPACKED_LIMIT,
        run_length_maximum_output_length=_UNPACKED_LIMIT,
        zlib_maximum_output_length=_UNPACKED_LIMIT,
        jbig2dec_binary=None,  # never run an external program on a file
    ):
        yield


# --- opening ------------------------------------------------------------------------------------


def _open(data: bytes) -> tuple[PdfReader, list[PageObject]]:
    """Open a document; of a damaged file, return the pages that can be recovered."""
    reason: Exception | None = None
    for repaired in (bytes, _with_new_end, _with_new_root):
        try:
            document = PdfReader(BytesIO(repaired(data)))
            if document.is_encrypted and document.decrypt("") is PasswordType.NOT_DECRYPTED:
                raise UnreadableDocument("A password is needed to open the document.")
            if pages := list(document.pages):
                return document, pages
        except (PyPdfError, DependencyError, DeprecationError, *_PARSER_ERRORS) as exc:
            reason = reason or exc
    if b"/Encrypt" in data:
        raise UnreadableDocument("It is encrypted in a way that cannot be opened.") from reason
    cause = str(reason or "it has no pages").rstrip(".")
    raise UnreadableDocument(f"It is damaged: {cause[:200]}.") from reason


def _with_new_end(data: bytes) -> bytes:
    """Append a trailer without a cross-reference table, so that pypdf searches for objects."""
    return data + b"\nstartxref\n0\n%%EOF\n"


def _with_new_root(data: bytes) -> bytes:
    """Append a page tree of all page objects in the file.

    This recovers files whose end is missing or whose page tree is broken.
    """
    found = dict.fromkeys(match.groups() for match in _PAGE.finditer(data))
    kids = b" ".join(b"%b %b R" % reference for reference in found)
    return data + (
        b"\nendobj\n9999998 0 obj\n<</Type/Catalog/Pages 9999999 0 R>>\nendobj\n"
        b"9999999 0 obj\n<</Type/Pages/Kids[%b]/Count %d>>\nendobj\n"
        b"trailer\n<</Root 9999998 0 R/Size 10000000>>\nstartxref\n0\n%%%%EOF\n"
    ) % (kids, len(found))


# --- pages --------------------------------------------------------------------------------------


def _text(page: PageObject) -> str | None:
    try:
        return clean_page(page.extract_text())
    except (PyPdfError, DependencyError, DeprecationError, *_PARSER_ERRORS):
        return None


def _content(file: EmbeddedFile) -> bytes | None:
    try:
        return file.content
    except (PyPdfError, *_PARSER_ERRORS):
        return None


def _notes(page: PageObject) -> tuple[str, ...]:
    found: dict[str, None] = {}  # without repetitions: the buttons of a field have the same text
    try:
        for reference in islice(page.annotations or (), _MAX_NOTES):
            note: Any = reference.get_object()
            kind = note.get("/Subtype")
            if kind == "/Widget":
                found |= dict.fromkeys(_field(note))
            elif kind in NOTES and isinstance(written := note.get("/Contents"), str):
                found[written] = None
    except (PyPdfError, *_PARSER_ERRORS):
        pass  # the page is indexed without them
    return tuple(found)


def _field(field: Any) -> Iterator[str]:
    """Yield a form field as `name: value`, its choices, and the caption of a button."""
    name = _inherited(field, "/TU") or _inherited(field, "/T") or "field"
    choices = dict(_choices(_inherited(field, "/Opt")))
    values = _strings(_inherited(field, "/V"))
    chosen = [choices.get(value, value.removeprefix("/")) for value in values if value not in _OFF]
    if chosen:
        yield f"{name}: {', '.join(chosen)}"
    if choices:
        yield f"{name}, choices: {', '.join(choices.values())}"
    looks = field.get("/MK")
    caption = looks.get_object().get("/CA") if looks is not None else None
    # A single character is a check mark in a symbol font.
    if isinstance(caption, str) and len(caption) > 1:
        yield caption


def _choices(options: Any) -> Iterator[tuple[str, str]]:
    """Yield the value of each choice and its label."""
    for option in islice(options or (), _MAX_CHOICES):
        if pair := _strings(option.get_object()):
            yield pair[0], pair[-1]


def _strings(value: Any) -> list[str]:
    """Return the strings in a value that is a string or an array."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _inherited(field: Any, key: str) -> Any:
    for _ in range(10):
        if field is None or key in field:
            break
        field = field.get("/Parent")
        field = field.get_object() if field is not None else None
    found = field.get(key) if field is not None else None
    return found.get_object() if found is not None else None
