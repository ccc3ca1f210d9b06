from pathlib import PurePath

import pytest

from allma_server.documents.readers import csv as csv_reader
from allma_server.types import Extract


def read(data: str | bytes, name: str = "file.csv") -> Extract:
    return csv_reader.read(data.encode() if isinstance(data, str) else data, PurePath(name))


def rows(extract: Extract) -> list[str]:
    (section,) = extract.sections
    ends = [*section.breaks[1:], len(extract.text)]
    return [extract.text[a:b].strip() for a, b in zip(section.breaks, ends, strict=True)]


def test_the_text_is_unchanged_and_rows_are_breaks() -> None:
    extract = read('name,said\r\nAnn,"well,\r\nno"\r\nBee,yes\r\n')
    assert extract.text == 'name,said\nAnn,"well,\nno"\nBee,yes\n'
    assert rows(extract) == ["name,said", 'Ann,"well,\nno"', "Bee,yes"]
    assert extract.metadata == {"rows": "3"}


@pytest.mark.parametrize(
    ("data", "repeat"),
    [
        ("name,age\nAnn,7\n", "name,age"),
        ("name;age\nAnn;7\n", "name;age"),
        ("name\tage\nAnn\t7\n", "name\tage"),
        ('"first\nname",age\nAnn,7\n', '"first\nname",age'),
        ("1,2,3\n4,5,6\n", ""),
        ("Ann,Ann\nBee,Bee\n", ""),
        ("only,one,row\n", ""),
    ],
)
def test_a_header_row_is_repeated_and_data_is_not(data: str, repeat: str) -> None:
    assert read(data).sections[0].repeat == repeat


def test_a_very_wide_header_is_not_repeated() -> None:
    data = ",".join(f"column{i}" for i in range(5000)) + "\n" + ",".join("x" * 5000) + "\n"
    extract = read(data)
    assert extract.sections[0].repeat == ""
    assert len(rows(extract)) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_read_without_the_byte_order_mark(encoding: str) -> None:
    extract = read("name,città\nZoë,Forlì\nAgnès,Gijón\n".encode(encoding))
    assert extract.sections[0].repeat == "name,città"


def test_rows_that_end_with_a_lone_carriage_return_are_rows() -> None:
    assert rows(read(b"a,b\r1,2\r3,4\r")) == ["a,b", "1,2", "3,4"]


def test_ragged_rows_are_kept() -> None:
    assert rows(read("a,b\n1\n1,2,3\n")) == ["a,b", "1", "1,2,3"]


def test_an_unclosed_quote_hides_no_row() -> None:
    extract = read('a,b\n1,"never closed\n' + "2,3\n" * 1000)
    assert rows(extract)[-1] == "2,3"
    assert len(rows(extract)) > 1000


def test_a_huge_cell_is_read() -> None:
    assert len(read('a,b\n1,"' + "word\n" * 200_000 + '"\n').text) > 1_000_000
