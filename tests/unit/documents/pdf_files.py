"""Small handwritten PDF files."""

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def pdf_of(*objects: bytes, trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1; the first is the catalog."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    xref = b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
    ending = b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(out) + xref + ending % (size, trailer, len(out))


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>stream\n%b\nendstream" % (len(content), entries, content)


def pdf_with_pages(*texts: str, page_entries: bytes = b"", extra: tuple[bytes, ...] = ()) -> bytes:
    """A file with a page for each text; its lines stand below each other.

    `extra` are further objects; the first has the number 4 + 2 * len(texts).
    """
    contents = []
    for text in texts:
        shown = [
            b"(%b) Tj T*" % line.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(")
            for line in text.split("\n")
        ]
        contents.append(b"BT /F1 12 Tf 14 TL 72 700 Td\n%b\nET" % b"\n".join(shown))
    return pdf_with_contents(*contents, page_entries=page_entries, extra=extra)


def pdf_with_contents(
    *contents: bytes, page_entries: bytes = b"", extra: tuple[bytes, ...] = (), font: bytes = FONT
) -> bytes:
    """A file with a page for each content stream, whose font is /F1."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(contents)),
        font,
    ]
    for i, content in enumerate(contents):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R"
            b"/Resources<</Font<</F1 3 0 R>>>>%b>>" % (5 + 2 * i, page_entries)
        )
        objects.append(stream(content))
    return pdf_of(*objects, *extra)
