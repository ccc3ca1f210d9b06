"""The parts of a message: headers, the best of its bodies, messages within it, attachments.

The standard library's parser is used with its older policy: for addresses that a hostile header
makes long, the newer one takes seconds, or fails. A place is the line of the file where a text
stands readable (7bit, 8bit, quoted-printable), else the line where its part begins.
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
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers import html, reader_for
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, extract_plain_text
from allma_server.errors import AllmaError, NothingToIndex
from allma_server.types import Extract, Section

if TYPE_CHECKING:
    # It brings numpy, which a worker process can do without.
    from allma_server.ports import Reader

MOST_ATTACHMENTS = 200
MOST_BYTES = 100_000_000
"""Of all that is decoded out of one file."""

DEEPEST = 8
"""Messages within messages that are read."""

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_LONGEST_HEADER = 4_000
_ASCII_CHARSETS = frozenset({"utf-7", "hz", "hz-gb-2312"})
_FRAMES = re.compile(rb"<frameset\b", re.IGNORECASE)
_MEDIA = frozenset({"image", "audio", "video", "font"})
_OF_PAGES = frozenset({"text/css", "text/javascript", "application/javascript"})
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\s]|(?<=\S)[ \t]+(?=\S)")
_NO_DIGIT = re.compile(r"[^A-Za-z0-9+/]")
_MOSTLY = 0.7
"""A plain body that has this share of the words in the HTML body stands for it."""


class Source:
    """The text of a message as it stands in the file, where its parts are looked up in order."""

    def __init__(self, raw: str, line: int) -> None:
        self.line = line
        """The line of the file where it begins."""
        self._raw = raw
        self._at = 0
        self._at_line = line
        self._misses = 0

    def find(self, text: str) -> int:
        """The line where `text` begins; that of the message, if it is not found as it is."""
        at = self._raw.find(text, self._at) if text and self._misses < 3 else -1
        if at < 0:
            self._misses += bool(text)
            return self.line
        self._at_line += self._raw.count("\n", self._at, at)
        self._at = at
        return self._at_line


class MailDocument:
    """Messages as one draft; limits hold for all of them together."""

    def __init__(self) -> None:
        self.document = DocumentBuilder()
        self.attachments = 0
        self._bytes = 0

    def add(
        self, message: Message, source: Source, above: tuple[str, ...] = (), depth: int = 0
    ) -> None:
        """Appends a message under the headings `above`; `depth` counts the messages around it."""
        line = source.line if depth == 0 else source.find(_first_header(message))
        parts = _Parts(self, source, depth)
        parts.collect(message)
        subject = header(message, "Subject") or ("Message" if above else "")
        heading = (*above, subject) if subject else above
        rows = [f"{name}: {value}" for name in _HEADERS if (value := header(message, name))]
        if parts.names:
            rows.append("Attachments: " + ", ".join(parts.names))
        self.document.add_section(
            "\n".join(rows), Section(0, 0, heading=heading), [line] * len(rows)
        )
        for text in parts.bodies():
            self._add_text(text, heading)
        for text in parts.attached:
            self._add_text(text, (*heading, text.name))
        for nested, name in parts.messages:
            self.add(nested, source, (*heading, name) if name else heading, depth + 1)

    def may_read(self, size: int) -> bool:
        """Whether so many more bytes may be read."""
        self._bytes += size
        return self._bytes <= MOST_BYTES

    def _add_text(self, text: "_Text", heading: tuple[str, ...]) -> None:
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
            # A page of an attachment is no page of this file.
            like = replace(section, heading=(*heading, *section.heading), page=None, breaks=breaks)
            self.document.add_section(own, like, lines)


@dataclass(slots=True)
class _Text:
    """What was read of a part; `lines` has the file's line of each line that the part decodes to.

    `choice` numbers the bodies of which one is to be shown, 0 where there is one only.
    """

    extract: Extract
    lines: Sequence[int]
    name: str = ""
    choice: int = 0
    is_html: bool = False


class _Parts:
    """What a message consists of."""

    def __init__(self, letter: MailDocument, source: Source, depth: int) -> None:
        self.names: list[str] = []
        self.attached: list[_Text] = []
        self.messages: list[tuple[Message, str]] = []
        self._letter = letter
        self._source = source
        self._depth = depth
        self._bodies: list[_Text] = []
        self._choices = 0

    def collect(self, message: Message) -> None:
        pending: list[tuple[Message, int]] = [(message, 0)]
        while pending:
            part, choice = pending.pop()
            kind = part.get_content_type()
            name = _file_name(part)
            if kind == "message/rfc822" and part.is_multipart():
                self._nested(_children(part), name)
            elif kind == "message/delivery-status":
                self._status(part)
            elif part.is_multipart():
                if kind == "multipart/alternative":
                    self._choices += 1
                    choice = self._choices
                children = _children(part)
                if kind == "multipart/related":
                    children = _of_a_page(children)
                pending += [(child, choice) for child in reversed(children)]
            elif not name and kind in ("text/plain", "text/html"):
                self._body(part, kind == "text/html", choice)
            else:
                self._attachment(part, name, kind)

    def bodies(self) -> list[_Text]:
        """The bodies to be shown: of those that are said to be alike, the best."""
        alike: dict[int, list[_Text]] = {}
        for n, text in enumerate(self._bodies):
            alike.setdefault(text.choice or -1 - n, []).append(text)
        return [_best(texts) for texts in alike.values()]

    def _nested(self, messages: list[Message], name: str) -> None:
        for message in messages:
            if self._depth < DEEPEST:
                self.messages.append((message, name))
            else:
                self.names.append(f"{name or 'message'} (nested too deeply)")

    def _status(self, part: Message) -> None:
        rows = [f"{key}: {value}" for each in _children(part) for key, value in each.items()]
        if rows:
            extract = extract_plain_text("\n".join(rows))
            self._bodies.append(_Text(extract, [self._source.find(rows[0])] * len(rows)))

    def _body(self, part: Message, is_html: bool, choice: int) -> None:
        data, lines = self._decoded(part)
        try:
            text = _text(data, part.get_content_charset())
            extract = (
                html.read(text.encode(), PurePath("body.html"))
                if is_html
                else extract_plain_text(text)
            )
        except AllmaError:
            return  # it is empty, or no text
        self._bodies.append(_Text(extract, lines, choice=choice, is_html=is_html))

    def _attachment(self, part: Message, name: str, kind: str) -> None:
        inline = part.get_content_disposition() != "attachment"
        if kind.partition("/")[0] in _MEDIA and inline or not name and kind in _OF_PAGES:
            return
        name = name or "attachment" + (mimetypes.guess_extension(kind) or "")
        path = PurePath(name)
        if not path.suffix:
            path = path.with_suffix(mimetypes.guess_extension(kind) or "")
        self._letter.attachments += 1
        reader = reader_for(path)
        if reader is None or self._letter.attachments > MOST_ATTACHMENTS:
            self.names.append(name)
            return
        data, lines = self._decoded(part)
        if not self._letter.may_read(len(data)):
            self.names.append(f"{name} (not read: too much is attached)")
        elif path.suffix.lower() == ".eml":
            self.names.append(name)
            raw = data.decode("ascii", "surrogateescape")
            self._nested([email.message_from_string(raw)], name)
        else:
            self._read(reader, data, path, name, lines)

    def _read(
        self, reader: "Reader", data: bytes, path: PurePath, name: str, lines: Sequence[int]
    ) -> None:
        try:
            self.attached.append(_Text(reader(data, path), lines, name))
        except NothingToIndex:
            self.names.append(name)
        except MemoryError:
            raise
        except Exception as exc:
            # One attachment must not cost the message.
            reason = str(exc) if isinstance(exc, AllmaError) else "it cannot be read"
            self.names.append(f"{name} ({reason.rstrip('.')})")
        else:
            self.names.append(name)

    def _decoded(self, part: Message) -> tuple[bytes, Sequence[int]]:
        """The bytes of a part, and the file's line of each line in them."""
        encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
        decoded: object = part.get_payload(decode=True)
        data = decoded if isinstance(decoded, bytes) else b""
        if encoding == "base64":
            raw = str(part.get_payload())
            data = _from_base64(raw)
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


def _from_base64(raw: str) -> bytes:
    """What base64 stands for, damaged or cut off; or the text itself, if it is none."""
    odd = sum(1 for _ in _NOT_BASE64.finditer(raw.strip()))
    if odd > 2 + len(raw) // 50:
        return raw.encode("utf-8", "replace")
    digits = _NO_DIGIT.sub("", raw)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return b64decode(digits + "=" * (-len(digits) % 4))


def _line_starts(raw: str) -> list[int]:
    """Where lines begin in quoted-printable text: not behind a soft line break."""
    starts: list[int] = []
    fresh = True
    for n, row in enumerate(raw.split("\n")):
        if fresh:
            starts.append(n)
        fresh = not row.rstrip(" \t").endswith("=")
    return starts


def _best(texts: Sequence[_Text]) -> _Text:
    """The plain body where it says what the other says; it may also be a mere hint."""
    words = [len(text.extract.text.split()) for text in texts]
    most = max(words)
    enough = [text for text, n in zip(texts, words, strict=True) if n >= most * _MOSTLY]
    return next((text for text in enough if not text.is_html), enough[0])


def _of_a_page(children: list[Message]) -> list[Message]:
    """The parts of a web page without the pages in it, unless it consists of these alone."""
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


def header(message: Message, name: str) -> str:
    """A header's text, decoded, in one line."""
    items = ((key, str(value)) for key, value in message.raw_items())
    value = next((value for key, value in items if key.lower() == name.lower()), "")
    return _plain(value[:_LONGEST_HEADER])


def _plain(value: str) -> str:
    if not value.isascii():
        value = _text(value.encode("utf-8", "surrogateescape"), None)
    try:
        pieces = decode_header(value)
    except (HeaderParseError, ValueError):
        pieces = [(value, None)]
    texts = (
        piece if isinstance(piece, str) else _text(piece, charset) for piece, charset in pieces
    )
    return clean(" ".join("".join(texts).split()))


def _file_name(part: Message) -> str:
    try:
        name = part.get_filename()
    except (LookupError, UnicodeError, ValueError):
        return ""
    return PurePath(_plain(name or "").replace("\\", "/")).name[:200]


def _text(data: bytes, charset: str | None) -> str:
    """`data` as text. Raises NothingToIndex when it is none."""
    if charset and charset.lower() in _ASCII_CHARSETS:
        return data.decode(charset, "replace")
    return decode(data, charset)
