"""What pypdf is asked for: form fields, notes, attachments, and what pdfium cannot read.

pypdf is ten times slower than pdfium, but looks for the objects of a damaged file itself.
"""

import logging
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

from allma_server.documents.readers.pdf_text import tidy
from allma_server.errors import UnreadableDocument

if TYPE_CHECKING:
    import pypdf
    from pypdf.generic import EmbeddedFile

_UNPACKED_LIMIT = 32 << 20
"""The most a stream may unpack to, in bytes."""

_MOST_NOTES = 2000
"""Form fields and notes that are looked at on one page; drawings can consist of them."""

_MOST_CHOICES = 200
_MOST_ATTACHMENTS = 200

_PAGE = re.compile(
    rb"\b(\d{1,7}) (\d{1,5}) obj\b(?:(?!endobj).){0,2000}?/Type\s*/Page\b", re.DOTALL
)

NOTES = frozenset(
    "/Text /FreeText /Highlight /Underline /Squiggly /StrikeOut /Stamp /Caret /Ink /Line /Square "
    "/Circle /Polygon /PolyLine /FileAttachment /Redact".split()
)
"""Annotations whose contents a person wrote."""

_OFF = frozenset({"", "/Off"})

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


class FallbackDocument:
    """A document in pypdf, opened when it is first asked for something."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pages(self) -> list[tuple[str | None, tuple[str, ...]]]:
        """The text of each page, None when it cannot be read, and its fields and notes.

        Raises:
            UnreadableDocument: encrypted, or damaged beyond repair.
        """
        with _bounded():
            _, pages = self._opened
            return [(_text(page), _notes(page)) for page in pages]

    def text(self, index: int) -> str | None:
        """The text of a page counted from 0; None when it cannot be read."""
        with _bounded():
            page = self._page(index)
            return _text(page) if page is not None else None

    def notes(self, index: int) -> tuple[str, ...]:
        """What was filled into a page's form fields or written beside its text."""
        with _bounded():
            page = self._page(index)
            return _notes(page) if page is not None else ()

    def title(self) -> str:
        """The document's own title, or nothing."""
        from pypdf.errors import PyPdfError

        try:
            with _bounded():
                metadata = self._opened[0].metadata
                return (metadata.title if metadata else "") or ""
        except (PyPdfError, *_STUMBLES):
            return ""

    def attachments(self) -> Iterator[tuple[str, bytes | None]]:
        """The names of attached files and their contents, None where these cannot be unpacked."""
        from pypdf.errors import PyPdfError

        try:
            with _bounded():
                for file in islice(self._opened[0].attachment_list, _MOST_ATTACHMENTS):
                    yield file.alternative_name or file.name, _content(file)
        except (PyPdfError, UnreadableDocument, *_STUMBLES):
            return  # the pages are what matters

    def _page(self, index: int) -> "pypdf.PageObject | None":
        try:
            _, pages = self._opened
        except UnreadableDocument:
            return None
        return pages[index] if index < len(pages) else None

    @cached_property
    def _opened(self) -> "tuple[pypdf.PdfReader, list[pypdf.PageObject]]":
        return _opened(self._data)


@contextmanager
def _bounded() -> Generator[None]:
    from pypdf import apply_configuration

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with apply_configuration(
        array_based_stream_maximum_output_length=_UNPACKED_LIMIT,
        lzw_maximum_output_length=_UNPACKED_LIMIT,
        run_length_maximum_output_length=_UNPACKED_LIMIT,
        zlib_maximum_output_length=_UNPACKED_LIMIT,
        jbig2dec_binary=None,  # no foreign program is ever run on a file
    ):
        yield


# --- opening ------------------------------------------------------------------------------------


def _opened(data: bytes) -> "tuple[pypdf.PdfReader, list[pypdf.PageObject]]":
    """The document and its pages; what is left of them when the file is damaged."""
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


# --- pages --------------------------------------------------------------------------------------


def _text(page: "pypdf.PageObject") -> str | None:
    from pypdf.errors import DependencyError, DeprecationError, PyPdfError

    try:
        return tidy(page.extract_text())
    except (PyPdfError, DependencyError, DeprecationError, *_STUMBLES):
        return None


def _content(file: "EmbeddedFile") -> bytes | None:
    from pypdf.errors import PyPdfError

    try:
        return file.content
    except (PyPdfError, *_STUMBLES):
        return None


def _notes(page: "pypdf.PageObject") -> tuple[str, ...]:
    from pypdf.errors import PyPdfError

    found: dict[str, None] = {}  # the buttons of one field say the same
    try:
        for reference in islice(page.annotations or (), _MOST_NOTES):
            note: Any = reference.get_object()
            kind = note.get("/Subtype")
            if kind == "/Widget":
                found |= dict.fromkeys(_field(note))
            elif kind in NOTES and isinstance(written := note.get("/Contents"), str):
                found[written] = None
    except (PyPdfError, *_STUMBLES):
        pass  # the page's own text is what matters
    return tuple(found)


def _field(field: Any) -> Iterator[str]:
    """A form field as `name: value`, its choices, and the caption of a button."""
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
    # Check marks are letters of a font of symbols.
    if isinstance(caption, str) and len(caption) > 1:
        yield caption


def _choices(options: Any) -> Iterator[tuple[str, str]]:
    """Each choice's value and what is shown for it."""
    for option in islice(options or (), _MOST_CHOICES):
        if pair := _strings(option.get_object()):
            yield pair[0], pair[-1]


def _strings(value: Any) -> list[str]:
    """The strings in a value that may be one itself, or an array of them."""
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
