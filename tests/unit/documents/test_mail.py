import base64
import time
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import PurePath

import pytest

from allma_server.documents.readers import mail as mail_reader
from allma_server.errors import NothingToIndex
from allma_server.types import Extract
from tests.unit.documents.pdf_files import pdf_with_pages


def read(data: str | bytes, name: str = "a.eml") -> Extract:
    return mail_reader.read(data.encode() if isinstance(data, str) else data, PurePath(name))


def numbered(extract: Extract) -> list[tuple[int, str]]:
    lines = zip(extract.lines, extract.text.split("\n"), strict=True)
    return [(line, text) for line, text in lines if text]


def letter(subject: str, body: str, cte: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Jürgen Müller <juergen@example.org>"
    message.set_content(body, cte=cte)
    return message


def test_headers_and_bodies_are_decoded_and_lines_are_those_of_the_file() -> None:
    message = letter("Grüße aus Köln", f"Hallo,\n\n48000 € {'wort ' * 40}\nEnde.\n",
                     cte="quoted-printable")  # fmt: skip
    data = message.as_bytes(policy=SMTP)
    extract = read(data)
    assert extract.title == "Grüße aus Köln"
    assert extract.metadata["from"] == "Jürgen Müller <juergen@example.org>"
    file = data.decode("latin-1").split("\r\n")
    found = {text.split(" ")[0]: line for line, text in numbered(extract)}
    assert file[found["Hallo,"] - 1] == "Hallo,"
    assert file[found["48000"] - 1].startswith("48000")
    assert file[found["Ende."] - 1] == "Ende."
    assert all(section.heading == ("Grüße aus Köln",) for section in extract.sections)


def test_base64_text_has_the_line_of_its_beginning() -> None:
    data = letter("b", "one\ntwo\n" * 60 + "needle\n", cte="base64").as_bytes()
    extract = read(data)
    first = data.decode().split("\n\n")[0].count("\n") + 3
    lines = {line for line, text in numbered(extract) if text in ("one", "two", "needle")}
    assert lines == {first}


def test_only_the_best_alternative_body_is_read() -> None:
    message = letter("Offer", "The price is 48000 euros for all.\n")
    message.add_alternative("<p>The price is <b>48000</b> euros for all.</p>", subtype="html")
    assert read(message.as_bytes()).text.count("48000") == 1
    message = letter("Offer", "See the HTML part.\n")
    table = "<table><tr><td>ext</td><td>5512</td></tr><tr><td>price</td><td>7</td></tr></table>"
    message.add_alternative(f"<h2>Terms</h2>{table}<p>Valid for three weeks.</p>", subtype="html")
    extract = read(message.as_bytes())
    assert "ext | 5512" in extract.text and "See the HTML" not in extract.text
    assert extract.sections[-1].heading == ("Offer", "Terms")


def test_attachments_are_read_as_their_own_formats_under_their_names() -> None:
    message = letter("Papers", "Attached.\n")
    message.add_attachment(b"name,port\nalpha,5512\n", maintype="text", subtype="csv",
                           filename="ports.csv")  # fmt: skip
    message.add_attachment(pdf_with_pages("The needle lies here."), maintype="application",
                           subtype="pdf", filename="Übersicht.pdf")  # fmt: skip
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png")
    message.add_attachment(b"%PDF-broken", maintype="application", subtype="pdf",
                           filename="bad.pdf")  # fmt: skip
    message.add_attachment(letter("Inner", "Words within.\n"))
    extract = read(message.as_bytes())
    texts = {s.heading[1:]: extract.text[s.start : s.end] for s in extract.sections}
    assert "alpha" in texts["ports.csv",] and "needle" in texts["Übersicht.pdf, page 1",]
    assert "Words within." in texts["Inner",]
    assert all(section.page is None for section in extract.sections)
    listed = extract.text.split("Attachments: ")[1].split("\n")[0]
    assert listed.startswith("ports.csv, Übersicht.pdf, logo.png, bad.pdf (")


def test_inline_pictures_are_skipped() -> None:
    message = letter("Hello", "See.\n")
    message.add_alternative("<p>See <img src='cid:x'> all of it here</p>", subtype="html")
    part = message.get_payload(1)
    assert isinstance(part, EmailMessage)
    part.add_related(b"\x89PNG", maintype="image", subtype="png", cid="<x>")
    assert read(message.as_bytes()).text.endswith("See all of it here")


def test_a_mailbox_has_a_section_for_each_message_on_its_lines() -> None:
    data = b"".join(
        b"From a@b Mon Jan  1 10:00:00 2024\n"
        + letter(f"Message {n}", f"Body {n}\n\n>From here\n\nFrom now on\n").as_bytes()
        + b"\n"
        for n in range(3)
    )
    extract = read(data, "box.mbox")
    assert extract.metadata == {"messages": "3"}
    file = data.decode().split("\n")
    for line, text in numbered(extract):
        assert text.startswith(("From: ", "Subject: ")) or text in file[line - 1]
    assert [line for line, text in numbered(extract) if text.startswith("Body")] == [
        n + 1 for n, text in enumerate(file) if text.startswith("Body")
    ]
    assert "From here" in extract.text and ">From" not in extract.text


def test_messages_of_a_mailbox_are_told_apart_by_their_times() -> None:
    dates = ("Mon, 1 Jan 2024 10:05:00 +0200", "Tue, 2 Jan 2024 09:00:00 GMT", "yesterday", "")
    box = "".join(
        f"From a@b Mon Jan  1 10:00:00 2024\nSubject: Tides\nDate: {date}\n\nText.\n\n"
        for date in dates
    )
    headings = {section.heading for section in read(box, "box.mbox").sections}
    assert headings == {("Tides, 2024-01-01 10:05",), ("Tides, 2024-01-02 09:00",), ("Tides",)}


def test_a_message_nested_too_deeply_is_read_as_text_in_its_mailbox() -> None:
    head = "From a@b Mon Jan  1 10:00:00 2024\n"
    deep = HOSTILE["multiparts"].replace("needle", "innermost")
    extract = read(f"{head}{deep}\n\n{head}Subject: Next\n\nneedle\n", "box.mbox")
    assert "innermost" in extract.text
    last, line = extract.text.rstrip().split("\n")[-1], extract.lines[-1]
    assert (last, line) == ("needle", deep.count("\n") + 7)


def test_a_saved_page_is_read_as_html() -> None:
    data = (
        "From: <Saved by Blink>\r\nSubject: =?utf-8?Q?Gezeiten_=C3=BCber?=\r\n"
        'Content-Type: multipart/related; type="text/html"; boundary="X"\r\n\r\n'
        "--X\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        "Content-Location: https://example.org/\r\n\r\n"
        "<html><body><nav>Menu</nav>\r\n<h1>Tides =E2=80=94</h1>\r\n<p>Quick=\r\nsilver</p>\r\n"
        "</body></html>\r\n--X\r\nContent-Type: text/html\r\n\r\n<p>An advert in a frame</p>\r\n"
        "--X\r\nContent-Type: text/css\r\n\r\np {}\r\n--X--\r\n"
    )
    extract = read(data, "page.mhtml")
    assert extract.title == "Gezeiten über"
    assert numbered(extract)[2:] == [(11, "Tides —"), (12, "Quicksilver")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Subject: x\nContent-Type: text/plain; charset=utf-8\n\nna\xefve caf\xe9 here\n",
         "naïve café here"),
        (b"Subject: x\nContent-Type: text/plain; charset=no-such\n\nplain words\n", "plain words"),
        (b"Subject: x\nContent-Type: text/plain; charset=utf-7\n\nM+APw-ller\n", "Müller"),
        (b"Subject: x\nContent-Type: multipart/mixed\n\nno boundary\n", "no boundary"),
        (b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nnever closed\n",
         "never closed"),
        (b"Subject: x\nContent-Transfer-Encoding: base64\n\nbm90IGN1dCBvZmYgYXQgYWxsIQ=!\n",
         "not cut off at all!"),
        (b"Subject: x\nContent-Transfer-Encoding: base64\n\nThis is no base64, but text.\n",
         "This is no base64, but text."),
        (b"Subject: x\nContent-Transfer-Encoding: nonsense\n\nwords\n", "words"),
        (b"Subject: =?utf-8?B?!!!?=\nTo: =?no-such?q?=FC?=\n\nwords\n", "words"),
        ("Subject: roh für alle\n\nWörter\n".encode(), "Wörter"),
    ],
)  # fmt: skip
def test_malformed_messages_are_read(data: bytes, text: str) -> None:
    assert read(data).text.endswith(text)


def test_a_file_without_a_message_is_text_or_empty() -> None:
    assert read("just a line of words").text == "just a line of words"
    with pytest.raises(NothingToIndex):
        read("")


def test_attachments_are_limited_in_number_and_depth() -> None:
    message = letter("Many", "Body.\n")
    for n in range(250):
        message.add_attachment(f"text {n}".encode(), maintype="text", subtype="plain",
                               filename=f"{n}.txt")  # fmt: skip
    extract = read(message.as_bytes())
    assert "text 199" in extract.text and "text 200" not in extract.text
    assert "249.txt" in extract.text
    nested = letter("Last", "unreached\n")
    for n in range(12):
        outer = letter(f"Level {n}", "body\n")
        outer.add_attachment(nested)
        nested = outer
    extract = read(nested.as_bytes())
    assert "Level 4" in extract.text and "unreached" not in extract.text
    assert "nested too deeply" in extract.text


PARTS = "Subject: needle\nContent-Type: multipart/{}; boundary=b\n\n"
HOSTILE = {
    "multiparts": "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(3_000)
    )
    + "needle",
    "many parts": PARTS.format("mixed") + "--b\n\nneedle\n" * 20_000,
    "alternatives": PARTS.format("alternative") + "--b\nContent-Type: text/html\n\n<p>x\n" * 3_000,
    "addresses": "Subject: needle\nTo: " + "a,(<" * 300_000 + "\n\nx",
    "encoded words": "Subject: " + "=?utf-8?q?" * 200_000 + "\n\nneedle",
    "messages": "Subject: needle\nContent-Type: message/rfc822\n\n" * 2_000 + "x",
    "no separators": "Subject: x\n\nneedle" + "\n\nFrom a" * 200_000,
    "soft breaks": "Subject: x\nContent-Transfer-Encoding: quoted-printable\n\nneedle"
    + "=\n" * 500_000,
    "base64": "Subject: x\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes(b"needle " * 500_000).decode(),
    "base64 in one line": "Subject: x\nContent-Transfer-Encoding: base64\n\n"
    + base64.b64encode(b"needle " * 500_000).decode(),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_messages_are_read_completely_within_seconds(data: str) -> None:
    begun = time.process_time()
    assert "needle" in read(data).text
    assert time.process_time() - begun < 10
