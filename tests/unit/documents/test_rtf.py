import time
from pathlib import PurePath

import pytest

from allma_server.documents.readers import rtf
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract


def read(source: str) -> Extract:
    return rtf.read(source.encode("latin-1"), PurePath("a.rtf"))


HEAD = (
    r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\stylesheet{\s1\outlinelevel0 heading 1;}}"
    r"{\info{\title Gr\'fc\'dfe}{\author Ann}}"
)


def test_text_headings_and_tables_are_read() -> None:
    extract = read(
        HEAD + r"\pard\s1\outlinelevel0 Guide\par\pard Caf\'e9 \u8364?48{\footnote See page 2.}\par"
        r"\trowd\pard\intbl Year\cell Sales\cell\row\pard\intbl 2023\cell 48\cell\row"
        r"\pard\outlinelevel1 Steps\par\pard Unpack it.\par}"
    )
    assert (extract.title, extract.metadata) == ("Grüße", {"author": "Ann"})
    found = {s.heading: extract.text[s.start : s.end].strip() for s in extract.sections}
    assert found == {
        ("Guide",): "Guide\n\nCafé €48 See page 2.\n\nYear | Sales\n2023 | 48",
        ("Guide", "Steps"): "Steps\n\nUnpack it.",
    }


def test_headers_and_footers_come_last_each_once() -> None:
    edge = r"{\header\pard Tide {\b report} \'fc\par}{\footerl {Page \{\chpgn\}}}{\headerf 1\par}"
    extract = read(HEAD + edge + r"\pard Body\par\sect{\headerr\pard Tide {\b report} \'fc\par}}")
    assert extract.text == "Body\n\nHeaders and footers\n\nTide report ü\n\nPage {}"
    assert extract.sections[-1].heading == ("Headers and footers",)
    assert "Body" in read(HEAD + r"Body\par{\header cut").text


def test_text_boxes_and_comments_come_last() -> None:
    box = r"{\shp{\*\shpinst\shpleft1{\sp{\sn x}{\sv 1}}{\shptxt\pard Inside\par}}}"
    comment = r"{\*\atnauthor Bo}\chatn{\*\annotation{\*\atnref 1}\pard Why?\par}"
    extract = read(HEAD + rf"\deflang1031 \pard Body{comment}{box}{{\f0\*\cs7  More}}\par}}")
    assert extract.text == "Body More\n\nText boxes\n\nInside\n\nComments\n\nWhy?"
    assert extract.metadata["language"] == "de-DE"


def test_pictures_and_many_links_take_little_time() -> None:
    picture = r"{\pict\pngblip " + "89504e47" * 200_000 + "}"
    link = r'{\field{\*\fldinst{HYPERLINK "http://a.example/"}}{\fldrslt{here}}} '
    began = time.process_time()
    text = read(HEAD + picture + link * 2_000 + "}").text
    assert text.count("here") == 2_000 and "89504e47" not in text
    read(HEAD + r"\par" * 50_000 + " Body" + r"{\header " * 20_000 + r"{\shptxt " * 20_000)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("source", ["plain text", "PK\x03\x04", r"{\rt"])
def test_other_files_are_refused(source: str) -> None:
    with pytest.raises(UnreadableDocument, match="not an RTF document"):
        read(source)


@pytest.mark.parametrize("source", [r"{\rtf1 cut\par", r"{\rtf1 " + "{" * 5_000, r"{\rtf1}}}} x"])
def test_damaged_files_are_read_or_skipped(source: str) -> None:
    try:
        assert "cut" in read(source).text
    except NothingToIndex:
        assert "cut" not in source
    with pytest.raises(UnreadableDocument, match="control word is invalid"):
        read(r"{\rtf1 \uc text}")
