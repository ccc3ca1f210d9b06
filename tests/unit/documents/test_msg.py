from datetime import UTC, datetime, timedelta
from pathlib import PurePath

import pytest

from allma_server.documents.readers import msg as msg_reader
from allma_server.errors import UnreadableDocument
from allma_server.types import Extract
from tests.unit.documents import ole_files as ole
from tests.unit.documents.ole_files import message, msg


def read(data: bytes) -> Extract:
    return msg_reader.read(data, PurePath("mail.msg"))


def filetime(at: datetime) -> int:
    return (at - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10


ANN: ole.Values = {ole.SENDER: "Ann Müller", ole.ADDRESS: "ann@example.org"}


def test_a_message_has_its_headers_body_and_attachments() -> None:
    inner = message({**ANN, ole.SUBJECT: "Offer", ole.BODY: "48000 euros"}, header=24)
    extract = read(
        msg(
            {
                **ANN,
                ole.SUBJECT: "Grüße",
                ole.BODY: "Hello Bee, see below.",
                ole.SENT: filetime(datetime(2024, 5, 6, 7, 8, tzinfo=UTC)),
            },
            [{ole.RECIPIENT_NAME: "Bee", ole.RECIPIENT_ADDRESS: "bee@example.org"},
             {ole.RECIPIENT_NAME: "Cid", ole.RECIPIENT_TYPE: 2}],
            [({ole.NAME: "list.csv", ole.DATA: b"city,people\nRome,3\n" * 400}, None),
             ({ole.NAME: "picture.png", ole.DATA: b"\x89PNG"}, None),
             ({ole.NAME: "offer.msg"}, inner)],
        )
    )  # fmt: skip
    assert extract.title == "Grüße" and not extract.lines
    assert extract.metadata["date"] == "Mon, 06 May 2024 07:08:00 +0000"
    head = extract.text.split("\n\n")[0]
    assert 'From: "Ann Müller" <ann@example.org>' in head
    assert "To: Bee <bee@example.org>" in head and "Cc: Cid" in head
    assert "picture.png" in head and "Hello Bee, see below." in extract.text
    headings = {s.heading for s in extract.sections}
    assert {("Grüße",), ("Grüße", "list.csv"), ("Grüße", "offer.msg", "Offer")} <= headings
    assert "48000 euros" in extract.text


def test_a_message_with_only_an_html_body_is_read() -> None:
    page = "<p>The price is <b>48000</b> €.</p>".encode()
    assert "The price is 48000 €." in read(msg({ole.SUBJECT: "s", ole.HTML: page})).text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"From: ann@example.org\n\nhello", "not an Outlook message"),
        (msg({ole.SUBJECT: "s", ole.BODY: "b"})[:900], "damaged"),
        (ole.ole({"Workbook": b"x"}), "damaged"),
    ],
)
def test_unreadable_messages_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)
