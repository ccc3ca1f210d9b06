"""The contract of every reader."""

import ast
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePath
from random import Random

import docx
import pytest

from allma_server.documents import readers
from allma_server.documents.chunking import ChunkSettings
from allma_server.documents.readers import reader_for, reader_of
from allma_server.documents.worker import Limits, parse
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.ports import Reader
from allma_server.types import BINARY_SUFFIXES, FORMAT_BY_SUFFIX, FORMATS, Extract
from tests.seeds import seeds
from tests.test_architecture import PACKAGE
from tests.unit.documents.office_files import epub, odf, package, pptx, row, shape, xlsx
from tests.unit.documents.ole_files import BODY, SUBJECT, msg
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
    "rst": lambda: b"Findings\n========\n\nThe needle lies in the haystack.\n",
    "asciidoc": lambda: b"= Findings\n\nThe needle lies in the haystack.\n",
    "org": lambda: b"* Findings\nThe needle lies in the haystack.\n",
    "latex": lambda: b"\\section{Findings}\nThe needle lies in the haystack.\n",
    "subtitles": lambda: b"1\n00:00:01,0 --> 00:00:02,0\nThe needle lies in the haystack.\n",
    "po": lambda: b'msgid "The needle lies in the haystack."\nmsgstr ""\n',
    "code": lambda: b"def find():\n    return 'The needle lies in the haystack.'\n",
    "html": lambda: b"<h1>Findings</h1><p>The needle lies in the haystack.</p>",
    "xml": lambda: (
        b"<report><title>Findings</title><p>The needle lies in the haystack.</p></report>"
    ),
    "mail": lambda: b"Subject: Findings\r\n\r\nThe needle lies in the haystack.\r\n",
    "pdf": lambda: pdf_with_pages("The needle lies in the haystack."),
    "docx": docx_sample,
    "msg": lambda: msg({SUBJECT: "Findings", BODY: "The needle lies in the haystack."}),
    "archive": lambda: package({"a/b.txt": b"The needle lies in the haystack."}),
    "spreadsheet": lambda: xlsx({"S": row(1, "The needle lies in the haystack.")}),
    "pptx": lambda: pptx(shape("The needle lies in the haystack.")),
    "odf": lambda: odf("text", "<text:p>The needle lies in the haystack.</text:p>"),
    "epub": lambda: epub({"a.xhtml": "<p>The needle lies in the haystack.</p>"}),
    "rtf": lambda: rb"{\rtf1 The needle lies in the haystack.\par}",
    "json": lambda: b'[{"found": "The needle lies in the haystack."}]',
    "csv": lambda: b"number,found\n1,The needle lies in the haystack.\n",
    "notebook": lambda: json.dumps(
        {"cells": [{"cell_type": "markdown", "source": ["The needle lies ", "in the haystack."]}]}
    ).encode(),
}


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    """The format that is tested."""
    return request.param


@pytest.fixture
def reader(name: str) -> Reader:
    return reader_of(name)


@pytest.fixture
def path(name: str) -> PurePath:
    return PurePath("/folder/file" + FORMATS[name][0])


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


def test_there_is_a_sample_of_every_format() -> None:
    assert set(FORMATS) == set(SAMPLES)


def test_text_is_extracted_and_sections_cover_it_in_order(
    name: str, reader: Reader, path: PurePath
) -> None:
    extract = reader(SAMPLES[name](), path)
    assert "The needle lies in the haystack." in extract.text
    check(extract)


def test_an_empty_file_has_nothing_to_index(reader: Reader, path: PurePath) -> None:
    with pytest.raises(NothingToIndex):
        reader(b"", path)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_refused_with_a_reason(reader: Reader, path: PurePath, seed: int) -> None:
    with pytest.raises(UnreadableDocument, match=r"\w\.$"):
        reader(Random(seed).randbytes(4000), path)


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(10, 1000))
def test_a_damaged_file_is_read_or_refused_without_other_errors(
    name: str, reader: Reader, path: PurePath, seed: int
) -> None:
    random = Random(seed)
    data = bytearray(SAMPLES[name]())
    for _ in range(random.randrange(1, 10)):
        data[random.randrange(len(data))] = random.randrange(256)
    del data[random.randrange(len(data) // 2, len(data) + 1) :]
    try:
        check(reader(bytes(data), path))
    except UnreadableDocument as exc:
        assert exc.message.endswith(".")


def test_readers_are_selected_by_suffix_in_any_case() -> None:
    for name, suffixes in FORMATS.items():
        for suffix in suffixes:
            assert reader_for(PurePath(f"Report{suffix.upper()}")) is reader_of(name)


def test_a_suffix_belongs_to_one_format() -> None:
    suffixes = [*BINARY_SUFFIXES, *(each for group in FORMATS.values() for each in group)]
    assert len(suffixes) == len(set(suffixes))


def test_suffixes_are_listed_in_one_place() -> None:
    known = {*BINARY_SUFFIXES, *FORMAT_BY_SUFFIX}
    for path in sorted(PACKAGE.rglob("*.py")):
        # `secrets` asks whether a name may be that of a secret, not how its file is read.
        if path.name == "file_types.py" or path.parent.name == "secrets":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                texts = [e.value for e in node.elts if isinstance(e, ast.Constant)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts = node.value.split()
            else:
                continue
            assert len(known & {t for t in texts if isinstance(t, str)}) < 3, (path, node.lineno)


def test_a_new_format_is_one_module_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slides.py").write_text(
        "from allma_server.documents.readers.text import read as read_text\n"
        "def read(data, path):\n    return read_text(data.replace(b'~', b' '), path)\n"
    )
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    monkeypatch.setitem(FORMAT_BY_SUFFIX, ".slides", "slides")
    talk = tmp_path / "talk.slides"
    talk.write_text("The~needle~lies~in~the~haystack.")
    parsed = parse(str(talk), Limits(1_000, ChunkSettings()))
    assert parsed.format == "slides"
    assert [chunk.text for chunk in parsed.chunks] == ["The needle lies in the haystack."]


@pytest.mark.parametrize("name", ["LICENSE", "notes.unknown", ".hidden", "archive.2024"])
def test_names_without_a_known_suffix_are_read_as_text(name: str) -> None:
    assert reader_for(PurePath(name)) is reader_of("text")


@pytest.mark.parametrize("name", ["photo.JPG", "song.mp3", "backup.sql.gz", "old.doc"])
def test_formats_without_readable_text_have_no_reader(name: str) -> None:
    assert reader_for(PurePath(name)) is None
