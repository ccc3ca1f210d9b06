"""Outlook messages: like e-mail, with the files and messages attached to them.

python-oxmsg reads the properties. The message is then built as e-mail, so that its bodies and
attachments are read as those of other messages.
"""

import struct
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message as Mail
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from pathlib import PurePath
from typing import cast

from oxmsg import Message
from oxmsg.attachment import Attachment
from oxmsg.domain.constants import (
    PID_BODY_HTML,
    PID_HTML,
    PID_INTERNET_CODEPAGE,
    PID_RECIPIENT_TYPE,
)
from oxmsg.properties import Properties
from oxmsg.storage import Storage

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.mail_parts import MAX_DEPTH, MailDocument, Source, header
from allma_server.documents.readers.zip_package import OLE
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_EMBEDDED_HEADER = 24
"""Bytes before the properties of a message inside another."""

_EMBEDDED = "__substg1.0_3701000D"
_RECIPIENTS = {1: "To", 2: "Cc"}
_DAMAGED = (
    OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error,
    OverflowError,
)  # fmt: skip


class _OutlookMessage(Message):
    """A message with the messages that are attached to it."""

    def parts(self) -> "Iterator[tuple[Attachment, _AttachedMessage | None]]":
        """Yield each attachment, and the message that it is."""
        for storage in self._storage.iter_attachment_storages():
            inner = cast("Storage", storage).storages
            found = next((each for each in inner if each.name == _EMBEDDED), None)
            yield Attachment(storage), None if found is None else _AttachedMessage(found)


class _AttachedMessage(_OutlookMessage):
    """A message inside another; its properties begin elsewhere than in a file."""

    @property
    def properties(self) -> Properties:
        return Properties(self._storage, properties_header_offset=_EMBEDDED_HEADER)


def read(data: bytes, path: PurePath) -> Extract:
    """Read a message, appointment, contact or task saved by Outlook."""
    if not data:
        raise NothingToIndex("The file is empty.")
    if not data.startswith(OLE):
        raise UnreadableDocument("It is not an Outlook message, although its name says so.")
    try:
        mail = _mail(cast("_OutlookMessage", _OutlookMessage.load(data)), 0)
    except _DAMAGED as exc:
        raise UnreadableDocument("The message is damaged.") from exc
    document = MailDocument()
    document.add(mail, Source("", 1))
    metadata = {"from": header(mail, "From"), "date": header(mail, "Date")}
    title = header(mail, "Subject")
    extract = document.builder.build("The message has no text.", title=title, metadata=metadata)
    return replace(extract, lines=())


def _mail(message: _OutlookMessage, depth: int) -> Mail:
    """Return a message of Outlook as e-mail."""
    mail = MIMEMultipart("mixed")
    sent = message.sent_date
    fields = {
        "From": message.sender,
        **_recipients(message),
        "Date": format_datetime(sent) if sent is not None else "",
        "Subject": message.subject,
    }
    for name, value in fields.items():
        if value:
            mail[name] = " ".join(value.split())
    bodies = MIMEMultipart("alternative")
    for text, kind in ((message.body, "plain"), (_html(message), "html")):
        if text and text.strip():
            bodies.attach(MIMEText(text, kind, "utf-8"))
    mail.attach(bodies)
    for part in _attachments(message, depth):
        mail.attach(part)
    return mail


def _html(message: Message) -> str | None:
    properties = message.properties
    data = properties.binary_prop_value(PID_HTML)
    if not data:
        return properties.str_prop_value(PID_BODY_HTML)
    known = properties.int_prop_value(PID_INTERNET_CODEPAGE)
    return decode(data, properties.body_encoding if known else None)


def _recipients(message: Message) -> dict[str, str]:
    found: dict[str, list[str]] = {"To": [], "Cc": []}
    for each in message.recipients:
        kind = _RECIPIENTS.get(each.properties.int_prop_value(PID_RECIPIENT_TYPE) or 1)
        if kind is not None:
            address = f"<{each.email_address}>" if each.email_address else ""
            found[kind].append(f"{each.name} {address}".strip())
    return {kind: ", ".join(names) for kind, names in found.items()}


def _attachments(message: _OutlookMessage, depth: int) -> Iterator[Mail]:
    for attachment, inner in message.parts():
        name = attachment.file_name or ""
        if inner is not None and depth <= MAX_DEPTH:
            part: Mail = MIMEMessage(_mail(inner, depth + 1))
        else:
            part = MIMEApplication(attachment.file_bytes or b"")
        part.add_header("Content-Disposition", "attachment", filename=name or "attachment")
        yield part
