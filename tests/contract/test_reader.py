"""What every reader promises, whatever its format."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath
from random import Random

import docx
import pytest

from allma_server.documents.readers import READERS, reader_for
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.ports import Reader
from allma_server.types import Extract
from tests.seeds import seeds
from tests.unit.documents.pdf_files import pdf_with_pages


def docx_sample() -> bytes:
    document = docx.Document()
    document.add_heading("Findings", 1)
    document.add_paragraph("The needle lies in the haystack.")
    file = BytesIO()
    document.save(file)
    return file.getvalue()


SAMPLES: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"First line.\nThe needle lies in the haystack.\n",
    "markdown": lambda: b"# Findings\n\nThe needle lies in the haystack.\n",
    "code": lambda: b"def find():\n    return 'The needle lies in the haystack.'\n",
    "html": lambda: b"<h1>Findings</h1><p>The needle lies in the haystack.</p>",
    "xml": lambda: (
        b"<report><title>Findings</title><p>The needle lies in the haystack.</p></report>"
    ),
    "mail": lambda: b"Subject: Findings\r\n\r\nThe needle lies in the haystack.\r\n",
    "pdf": lambda: pdf_with_pages("The needle lies in the haystack."),
    "docx": docx_sample,
    "json": lambda: b'[{"found": "The needle lies in the haystack."}]',
    "csv": lambda: b"number,found\n1,The needle lies in the haystack.\n",
    "notebook": lambda: json.dumps(
        {"cells": [{"cell_type": "markdown", "source": ["The needle lies ", "in the haystack."]}]}
    ).encode(),
}


@pytest.fixture(params=READERS, ids=lambda reader: reader.name)
def reader(request: pytest.FixtureRequest) -> Reader:
    return request.param


@pytest.fixture
def path(reader: Reader) -> PurePath:
    return PurePath("/folder/file" + min(reader.suffixes))


def check(extract: Extract) -> None:
    assert extract.text.strip()
    extract.text.encode("utf-8")  # no lone surrogates
    assert "\0" not in extract.text and "\r" not in extract.text
    end = 0
    for section in extract.sections:
        assert section.start == end < section.end
        assert all(section.start <= offset < section.end for offset in section.breaks)
        assert list(section.breaks) == sorted(set(section.breaks))
        end = section.end
    assert end == len(extract.text)


def test_there_is_a_sample_for_every_reader() -> None:
    assert {reader.name for reader in READERS} == set(SAMPLES)


def test_text_is_found_and_sections_cover_it_in_order(reader: Reader, path: PurePath) -> None:
    extract = reader.read(SAMPLES[reader.name](), path)
    assert "The needle lies in the haystack." in extract.text
    check(extract)


def test_an_empty_file_has_nothing_to_index(reader: Reader, path: PurePath) -> None:
    with pytest.raises(NothingToIndex):
        reader.read(b"", path)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_refused_with_a_reason(reader: Reader, path: PurePath, seed: int) -> None:
    with pytest.raises(UnreadableDocument, match=r"\w\.$"):
        reader.read(Random(seed).randbytes(4000), path)


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(10, 1000))
def test_a_damaged_file_is_read_or_refused_but_nothing_else(
    reader: Reader, path: PurePath, seed: int
) -> None:
    random = Random(seed)
    data = bytearray(SAMPLES[reader.name]())
    for _ in range(random.randrange(1, 10)):
        data[random.randrange(len(data))] = random.randrange(256)
    del data[random.randrange(len(data) // 2, len(data) + 1) :]
    try:
        check(reader.read(bytes(data), path))
    except UnreadableDocument as exc:
        assert exc.message.endswith(".")


def test_readers_are_chosen_by_suffix_whatever_its_case() -> None:
    for reader in READERS:
        for suffix in reader.suffixes:
            assert reader_for(PurePath(f"Report{suffix.upper()}")) is reader


def test_no_suffix_belongs_to_two_readers() -> None:
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("name", ["LICENSE", "notes.unknown", ".hidden", "archive.2024"])
def test_names_nobody_knows_are_read_as_text(name: str) -> None:
    found = reader_for(PurePath(name))
    assert found is not None and found.name == "text"


@pytest.mark.parametrize("name", ["photo.JPG", "song.mp3", "backup.tar.gz", "old.doc"])
def test_formats_without_readable_text_have_no_reader(name: str) -> None:
    assert reader_for(PurePath(name)) is None
