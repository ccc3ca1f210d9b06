"""E-mail and saved web archives: the letter as its reader sees it, and what is attached to it."""

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
    # As the standard library's own parser of bytes does it: other bytes pass through.
    raw = data.decode("ascii", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    starts = [match.span() for match in _SEPARATOR.finditer(raw)]
    letter = MailDocument()
    if not starts:
        message = _parsed(raw)
        if message is None or not message.keys():
            return extract_plain_text(decode(data))
        letter.add(message, Source(raw, 1))
        facts = {"from": header(message, "From"), "date": header(message, "Date")}
        title = header(message, "Subject")
        return letter.document.build("The message has no text.", title=title, metadata=facts)
    for text, line in _messages(raw, starts):
        if (message := _parsed(text)) is not None:
            letter.add(message, Source(text, line))
        else:
            plain = extract_plain_text(text.encode("ascii", "replace").decode()).text
            letter.document.add_section(plain, lines=range(line, line + plain.count("\n") + 1))
    facts = {"messages": str(len(starts))}
    return letter.document.build("The mailbox has no text.", metadata=facts)


def _parsed(raw: str) -> Message | None:
    """The message in `raw`; None when its parts are nested too deeply for the parser."""
    try:
        return email.message_from_string(raw)
    except (RecursionError, MessageError):
        return None


def _messages(raw: str, starts: list[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """The messages of a mailbox, each with its first line in the file."""
    line, counted = 1, 0
    for (_, start), (end, _) in pairwise([*starts, (len(raw), 0)]):
        line += raw.count("\n", counted, start)
        counted = start
        yield _QUOTED_FROM.sub("", raw[start:end]), line
