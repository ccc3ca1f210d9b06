"""E-mail and web archives: messages as a mail program shows them, and their attachments."""

import email
import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import Message
from itertools import pairwise
from pathlib import PurePath

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.mail_parts import MailDocument, Source, header
from allma_server.documents.readers.text import extract_plain_text
from allma_server.types import Extract

_SEPARATOR = re.compile(
    r"(?:\A|(?<=\n\n))From [^\n]{0,300}\d\d:\d\d[^\n]{0,60}\b\d{4}\b[^\n]{0,60}\n"
)
_QUOTED_FROM = re.compile(r"^>(?=>*From )", re.MULTILINE)


def read(data: bytes, path: PurePath) -> Extract:
    """Read a message (.eml), a mailbox (.mbox), or a saved page with its parts (.mhtml)."""
    # As in the standard library's parser of bytes: bytes that are not ASCII are preserved.
    raw = data.decode("ascii", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    starts = [match.span() for match in _SEPARATOR.finditer(raw)]
    document = MailDocument(is_mailbox=bool(starts))
    if not starts:
        message = _parse(raw)
        if message is None or not message.keys():
            return extract_plain_text(decode(data))
        document.add(message, Source(raw, 1))
        metadata = {"from": header(message, "From"), "date": header(message, "Date")}
        title = header(message, "Subject")
        return document.builder.build("The message has no text.", title=title, metadata=metadata)
    for text, line in _messages(raw, starts):
        if (message := _parse(text)) is not None:
            document.add(message, Source(text, line))
        else:
            plain = extract_plain_text(text.encode("ascii", "replace").decode()).text
            document.builder.add_section(plain, lines=range(line, line + plain.count("\n") + 1))
    metadata = {"messages": str(len(starts))}
    return document.builder.build("The mailbox has no text.", metadata=metadata)


def _parse(raw: str) -> Message | None:
    """Parse a message; return None when its parts are nested too deeply for the parser."""
    try:
        return email.message_from_string(raw)
    except (RecursionError, MessageError):
        return None


def _messages(raw: str, starts: list[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """Yield the messages of a mailbox, each with its first line in the file."""
    line, counted = 1, 0
    for (_, start), (end, _) in pairwise([*starts, (len(raw), 0)]):
        line += raw.count("\n", counted, start)
        counted = start
        yield _QUOTED_FROM.sub("", raw[start:end]), line
