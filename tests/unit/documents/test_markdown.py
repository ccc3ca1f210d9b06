from pathlib import Path, PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import markdown as markdown_reader
from allma_server.errors import NothingToIndex
from allma_server.types import Extract, Section


def read(source: str) -> Extract:
    extract = markdown_reader.read(source.encode(), PurePath("a.md"))
    assert extract.text.count("\n") == source.count("\n"), "line numbers stay those of the file"
    joined = "".join(extract.text[s.start : s.end] for s in extract.sections)
    assert joined == extract.text, "sections cover the file, in order"
    return extract


def headings(source: str) -> list[tuple[str, ...]]:
    return [s.heading for s in read(source).sections]


def only(extract: Extract, kind: str) -> Section:
    (section,) = (s for s in extract.sections if s.kind == kind)
    return section


def test_a_section_has_the_path_of_its_headings() -> None:
    source = "intro\n\n# A\n\ntext\n\n## B\n\n### C\n\ntext\n\n## D\n\n# E\n"
    assert headings(source) == [
        (),
        ("A",),
        ("A", "B"),
        ("A", "B", "C"),
        ("A", "D"),
        ("E",),
    ]


def test_underlined_headings_are_recognized_without_markup() -> None:
    assert headings("Big *one*\n=========\n\nSmall [two](http://x)\n---\n") == [
        ("Big one",),
        ("Big one", "Small two"),
    ]
    assert headings("# The `__init__` method {#init .unnumbered}\n") == [("The __init__ method",)]


def test_lookalikes_of_headings_are_text() -> None:
    source = "# A\n\n```sh\n# comment\n```\n\n    # code\n\n> # quoted\n\n- # listed\n"
    assert headings(source) == [("A",)]


def test_a_paragraph_above_a_horizontal_rule_is_text() -> None:
    source = "# A\n\n" + "A whole paragraph of many sentences. " * 10 + "\n---\nmore\n"
    assert headings(source) == [("A",)]


def test_the_title_comes_from_the_front_matter_or_the_first_heading() -> None:
    assert read('---\ntitle: "My: page"\ntags: [a]\n---\n\n# Other\n').title == "My: page"
    assert read("+++\ntitle = 'My page'\n+++\n\ntext\n").title == "My page"
    assert read("text\n\n## Sub\n\n# Main\n").title == "Main"
    assert read("only text\n").title is None


def test_front_matter_is_not_a_heading() -> None:
    assert headings("---\na: b\n---\n\ntext\n") == [()]
    assert headings("---\n\ntext after a rule\n\n---\n\n# A\n") == [(), ("A",)]


def test_comments_and_embedded_images_are_blanked() -> None:
    image = "![x](data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAB" * 40 + ")"
    extract = read(f"# A\n\n<!-- hidden\n\nstuff -->\n\n{image}\n\n```html\n<!-- shown -->\n```\n")
    assert "hidden" not in extract.text and "stuff" not in extract.text
    assert "iVBOR" not in extract.text
    assert "<!-- shown -->" in extract.text, "in a code block it is content"


def test_a_long_table_repeats_its_header() -> None:
    rows = "".join(f"| {i} | some words about the number {i} |\n" for i in range(60))
    extract = read(f"# A\n\nbefore\n\n| n | about |\n|---|---|\n{rows}\nafter\n")
    table = only(extract, "records")
    assert table.heading == ("A",)
    assert len(table.breaks) == 60
    chunks = chunk(extract, "", ChunkSettings(max_tokens=2000))
    later = [c for c in chunks if c.start > table.start and c.end <= table.end]
    assert len(later) > 2
    assert all(c.text.startswith("| n | about |\n|---|---|\n| ") for c in later)


def test_a_short_table_stays_with_the_text_around_it() -> None:
    extract = read("# A\n\nbefore\n\n| n | about |\n|---|---|\n| 1 | one |\n\nafter\n")
    (only_chunk,) = chunk(extract, "", ChunkSettings())
    assert only_chunk.text == extract.text.strip()


def test_a_code_block_that_fits_is_never_cut() -> None:
    code = "```python\n" + "".join(f"step_{i}()\n\n" for i in range(50)) + "```"
    prose = "This explains at length what the code below is about. " * 12
    extract = read(f"# A\n\n{prose}\n\n{code}\n\n{prose}\n")
    chunks = chunk(extract, "", ChunkSettings(max_tokens=2000))
    assert any(code in c.text for c in chunks)


def test_an_empty_file_has_nothing_to_index() -> None:
    for source in (b"", b" \n\t\n", b"<!-- nothing but a comment -->\n"):
        with pytest.raises(NothingToIndex):
            markdown_reader.read(source, PurePath("a.md"))


@pytest.mark.parametrize(
    "source",
    [
        "> " * 3000 + "deep",
        "\n".join("  " * i + "- deep" for i in range(300)),
        "[" * 20_000,
        "```\n" * 5001,
        "<!-- never closed\n" * 2000,
        "|a" * 5000 + "|\n" + "|-" * 5000 + "|\n",
        "#" * 5000,
    ],
)
def test_unusual_markup_is_read_as_text(source: str) -> None:
    assert read(source).text


def test_real_pages_are_read(shared_data: Path) -> None:
    for path in sorted((shared_data / "documents" / "md").glob("*.md")):
        extract = markdown_reader.read(path.read_bytes(), path)
        assert extract.text == "".join(extract.text[s.start : s.end] for s in extract.sections)
