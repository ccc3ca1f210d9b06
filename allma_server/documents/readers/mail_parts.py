"""The parts of a message: headers, the best of its bodies, nested messages, attachments.

The standard library's parser is used with its older policy, because the newer one takes seconds or
fails on very long address headers. The line number of a text is its own where the file has it in
readable form (7bit, 8bit, quoted-printable), else that of the beginning of its part.
"""

import email
import mimetypes
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from allma_server.documents.builder import DocumentBuilder, embedded
from allma_server.documents.readers import html, reader_for
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, extract_plain_text
from allma_server.errors import AllmaError, NothingToIndex
from allma_server.types import Extract, Section

if TYPE_CHECKING:
    # It imports numpy, which a worker process does not need.
    from allma_server.ports import Reader

MAX_ATTACHMENTS = 200
MAX_DECODED_BYTES = 100_000_000
"""Bytes of all attachments of one file together that are read."""

MAX_DEPTH = 8
"""Levels of messages inside messages that are read."""

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_MAX_HEADER = 4_000
_ASCII_CHARSETS = frozenset({"utf-7", "hz", "hz-gb-2312"})
_FRAMES = re.compile(rb"<frameset\b", re.IGNORECASE)
_MEDIA = frozenset({"image", "audio", "video", "font"})
_PAGE_PARTS = frozenset({"text/css", "text/javascript", "application/javascript"})
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\s]|(?<=\S)[ \t]+(?=\S)")
_NOT_BASE64_DIGIT = re.compile(r"[^A-Za-z0-9+/]")
_PLAIN_BODY_SHARE = 0.7
"""A plain body with at least this share of the words of the HTML body is used instead of it."""


class Source:
    """The source text of a message; finds the lines of its parts, in order."""

    def __init__(self, raw: str, line: int) -> None:
        self.line = line
        """The line of the file where the message begins."""
        self._raw = raw
        self._at = 0
        self._at_line = line
        self._misses = 0

    def find(self, text: str) -> int:
        """Return the line where `text` begins; that of the message if `text` is not found."""
        at = self._raw.find(text, self._at) if text and self._misses < 3 else -1
        if at < 0:
            self._misses += bool(text)
            return self.line
        self._at_line += self._raw.count("\n", self._at, at)
        self._at = at
        return self._at_line


class MailDocument:
    """Collects messages in one document; the limits apply to all of them together.

    In a mailbox, the heading of a message also has its time: an exchange has one subject.
    """

    def __init__(self, *, is_mailbox: bool = False) -> None:
        self._is_mailbox = is_mailbox
        self.builder = DocumentBuilder()
        self.attachments = 0
        self._bytes = 0

    def add(
        self, message: Message, source: Source, above: tuple[str, ...] = (), depth: int = 0
    ) -> None:
        """Append a message below the headings `above`; `depth` counts the enclosing messages."""
        line = source.line if depth == 0 else source.find(_first_header(message))
        parts = _Parts(self, source, depth)
        parts.collect(message)
        name = header(message, "Subject") or ("Message" if above else "")
        if self._is_mailbox and not above:
            name = ", ".join(filter(None, (name or "Message", _time(message))))
        heading = (*above, name) if name else above
        rows = [f"{name}: {value}" for name in _HEADERS if (value := header(message, name))]
        if parts.names:
            rows.append("Attachments: " + ", ".join(parts.names))
        self.builder.add_section(
            "\n".join(rows), Section(0, 0, heading=heading), [line] * len(rows)
        )
        for text in parts.bodies():
            self._add_part(text, heading)
        for text in parts.attached:
            self._add_part(text, (*heading, text.name))
        for nested, name in parts.messages:
            self.add(nested, source, (*heading, name) if name else heading, depth + 1)

    def may_read(self, size: int) -> bool:
        """Count `size` more bytes; return whether the limit allows to read them."""
        self._bytes += size
        return self._bytes <= MAX_DECODED_BYTES

    def _add_part(self, text: "_PartText", heading: tuple[str, ...]) -> None:
        extract = text.extract
        row = at = 0
        for section in extract.sections:
            row += extract.text.count("\n", at, section.start)
            at = section.start
            own = extract.text[section.start : section.end]
            rows = range(row, row + own.count("\n") + 1)
            within = [extract.lines[n] if extract.lines else n + 1 for n in rows]
            lines = [text.lines[min(n, len(text.lines)) - 1] for n in within]
            breaks = tuple(offset - section.start for offset in section.breaks)
            like = replace(embedded(section, heading), breaks=breaks)
            self.builder.add_section(own, like, lines)


@dataclass(slots=True)
class _PartText:
    """The text of a part; `lines` has the file's line number of each line of the decoded part.

    Bodies with the same `choice` are alternatives; 0 where there is only one body.
    """

    extract: Extract
    lines: Sequence[int]
    name: str = ""
    choice: int = 0
    is_html: bool = False


class _Parts:
    """Collects the bodies, attachments and nested messages of one message."""

    def __init__(self, document: MailDocument, source: Source, depth: int) -> None:
        self.names: list[str] = []
        self.attached: list[_PartText] = []
        self.messages: list[tuple[Message, str]] = []
        self._document = document
        self._source = source
        self._depth = depth
        self._bodies: list[_PartText] = []
        self._choices = 0

    def collect(self, message: Message) -> None:
        pending: list[tuple[Message, int]] = [(message, 0)]
        while pending:
            part, choice = pending.pop()
            kind = part.get_content_type()
            name = _file_name(part)
            if kind == "message/rfc822" and part.is_multipart():
                self._add_nested(_children(part), name)
            elif kind == "message/delivery-status":
                self._add_status(part)
            elif part.is_multipart():
                if kind == "multipart/alternative":
                    self._choices += 1
                    choice = self._choices
                children = _children(part)
                if kind == "multipart/related":
                    children = _page_parts(children)
                pending += [(child, choice) for child in reversed(children)]
            elif not name and kind in ("text/plain", "text/html"):
                self._add_body(part, kind == "text/html", choice)
            else:
                self._add_attachment(part, name, kind)

    def bodies(self) -> list[_PartText]:
        """Return the bodies, of alternatives only the best."""
        alternatives: dict[int, list[_PartText]] = {}
        for n, text in enumerate(self._bodies):
            alternatives.setdefault(text.choice or -1 - n, []).append(text)
        return [_best_body(texts) for texts in alternatives.values()]

    def _add_nested(self, messages: list[Message], name: str) -> None:
        for message in messages:
            if self._depth < MAX_DEPTH:
                self.messages.append((message, name))
            else:
                self.names.append(f"{name or 'message'} (nested too deeply)")

    def _add_status(self, part: Message) -> None:
        rows = [f"{key}: {value}" for each in _children(part) for key, value in each.items()]
        if rows:
            extract = extract_plain_text("\n".join(rows))
            self._bodies.append(_PartText(extract, [self._source.find(rows[0])] * len(rows)))

    def _add_body(self, part: Message, is_html: bool, choice: int) -> None:
        data, lines = self._decode(part)
        try:
            text = _decode_text(data, part.get_content_charset())
            extract = (
                html.read(text.encode(), PurePath("body.html"))
                if is_html
                else extract_plain_text(text)
            )
        except AllmaError:
            return  # it is empty or binary
        self._bodies.append(_PartText(extract, lines, choice=choice, is_html=is_html))

    def _add_attachment(self, part: Message, name: str, kind: str) -> None:
        inline = part.get_content_disposition() != "attachment"
        if kind.partition("/")[0] in _MEDIA and inline or not name and kind in _PAGE_PARTS:
            return
        name = name or "attachment" + (mimetypes.guess_extension(kind) or "")
        path = PurePath(name)
        if not path.suffix:
            path = path.with_suffix(mimetypes.guess_extension(kind) or "")
        self._document.attachments += 1
        reader = reader_for(path)
        if reader is None or self._document.attachments > MAX_ATTACHMENTS:
            self.names.append(name)
            return
        data, lines = self._decode(part)
        if not self._document.may_read(len(data)):
            self.names.append(f"{name} (not read: too much is attached)")
        elif path.suffix.lower() == ".eml":
            self.names.append(name)
            raw = data.decode("ascii", "surrogateescape")
            self._add_nested([email.message_from_string(raw)], name)
        else:
            self._read_attachment(reader, data, path, name, lines)

    def _read_attachment(
        self, reader: "Reader", data: bytes, path: PurePath, name: str, lines: Sequence[int]
    ) -> None:
        try:
            self.attached.append(_PartText(reader(data, path), lines, name))
        except NothingToIndex:
            self.names.append(name)
        except MemoryError:
            raise
        except Exception as exc:
            # A failing attachment must not fail the message.
            reason = str(exc) if isinstance(exc, AllmaError) else "it cannot be read"
            self.names.append(f"{name} ({reason.rstrip('.')})")
        else:
            self.names.append(name)

    def _decode(self, part: Message) -> tuple[bytes, Sequence[int]]:
        """Return the bytes of a part, and the file's line number of each line in them."""
        encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
        decoded: object = part.get_payload(decode=True)
        data = decoded if isinstance(decoded, bytes) else b""
        if encoding == "base64":
            raw = str(part.get_payload())
            data = _decode_base64(raw)
        elif encoding in ("quoted-printable", "x-uuencode", "uuencode", "uue", "x-uue"):
            raw = str(part.get_payload())
        else:
            raw = data.decode("ascii", "surrogateescape")
        first = self._source.find(raw)
        rows = data.replace(b"\r\n", b"\n").count(b"\n") + 1
        own = _line_starts(raw) if encoding == "quoted-printable" else range(raw.count("\n") + 1)
        readable = encoding in ("quoted-printable", "7bit", "8bit", "binary", "")
        if readable and len(own) == rows:
            return data, [first + n for n in own]
        return data, [first] * rows


def _decode_base64(raw: str) -> bytes:
    """Decode base64, also damaged or truncated; return `raw` itself if it is not base64."""
    odd = sum(1 for _ in _NOT_BASE64.finditer(raw.strip()))
    if odd > 2 + len(raw) // 50:
        return raw.encode("utf-8", "replace")
    digits = _NOT_BASE64_DIGIT.sub("", raw)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return b64decode(digits + "=" * (-len(digits) % 4))


def _line_starts(raw: str) -> list[int]:
    """Return the lines of quoted-printable text that do not continue after a soft line break."""
    starts: list[int] = []
    fresh = True
    for n, row in enumerate(raw.split("\n")):
        if fresh:
            starts.append(n)
        fresh = not row.rstrip(" \t").endswith("=")
    return starts


def _best_body(texts: Sequence[_PartText]) -> _PartText:
    """Return the plain body, or the HTML body if the plain one has much less text."""
    words = [len(text.extract.text.split()) for text in texts]
    most = max(words)
    enough = [text for text, n in zip(texts, words, strict=True) if n >= most * _PLAIN_BODY_SHARE]
    return next((text for text in enough if not text.is_html), enough[0])


def _page_parts(children: list[Message]) -> list[Message]:
    """Return the parts of a web page without embedded pages, unless it is a frameset."""
    pages = [child for child in children if child.get_content_type() == "text/html"]
    if len(pages) > 1:
        data: object = pages[0].get_payload(decode=True)
        if not (isinstance(data, bytes) and _FRAMES.search(data)):
            return [child for child in children if child not in pages[1:]]
    return children


def _children(part: Message) -> list[Message]:
    payload: object = part.get_payload()
    if not isinstance(payload, list):
        return []
    return [child for child in cast("list[object]", payload) if isinstance(child, Message)]


def _first_header(message: Message) -> str:
    return next((f"{name}: {value}" for name, value in message.raw_items()), "")


# --- headers ------------------------------------------------------------------------------------


def _time(message: Message) -> str:
    """Return when a message was sent, as its sender's clock showed it; empty if it is not said."""
    try:
        return f"{parsedate_to_datetime(header(message, 'Date')):%Y-%m-%d %H:%M}"
    except (ValueError, IndexError, OverflowError):
        return ""


def header(message: Message, name: str) -> str:
    """Return the text of a header, decoded, as one line."""
    items = ((key, str(value)) for key, value in message.raw_items())
    value = next((value for key, value in items if key.lower() == name.lower()), "")
    return _decode_header(value[:_MAX_HEADER])


def _decode_header(value: str) -> str:
    if not value.isascii():
        value = _decode_text(value.encode("utf-8", "surrogateescape"), None)
    try:
        pieces = decode_header(value)
    except (HeaderParseError, ValueError):
        pieces = [(value, None)]
    texts = (
        piece if isinstance(piece, str) else _decode_text(piece, charset)
        for piece, charset in pieces
    )
    return clean(" ".join("".join(texts).split()))


def _file_name(part: Message) -> str:
    try:
        name = part.get_filename()
    except (LookupError, UnicodeError, ValueError):
        return ""
    return PurePath(_decode_header(name or "").replace("\\", "/")).name[:200]


def _decode_text(data: bytes, charset: str | None) -> str:
    """Decode `data`.

    Raises:
        NothingToIndex: it is binary.
    """
    if charset and charset.lower() in _ASCII_CHARSETS:
        return data.decode(charset, "replace")
    return decode(data, charset)
