import time
from itertools import pairwise
from pathlib import Path

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk, token_counter
from allma_server.providers.embedding.local import FOLDER, MAX_TOKENS
from allma_server.types import Chunk, Extract, Section

SETTINGS = ChunkSettings(
    size=1000, overlap=200, max_tokens=MAX_TOKENS, tokenizer_file=str(FOLDER / "tokenizer.json")
)
SENTENCE = "The quick brown fox number {} jumps over the lazy dog that sleeps by the river. "


def prose(sentences: int) -> str:
    return "".join(SENTENCE.format(i) for i in range(sentences)).strip()


def document(*parts: tuple[str, Section]) -> Extract:
    """An extract of these texts, one after the other, each a section like the one given."""
    text = ""
    sections: list[Section] = []
    for part, like in parts:
        shifted = tuple(len(text) + offset for offset in like.breaks)
        sections.append(
            Section(
                len(text),
                len(text) + len(part),
                like.kind,
                like.heading,
                like.page,
                like.language,
                like.repeat,
                shifted,
            )
        )
        text += part
    return Extract(text, tuple(sections))


def like(kind: str = "markdown", *heading: str, **marks: object) -> Section:
    return Section(0, 0, kind, heading, **marks)  # type: ignore[arg-type]


def cut(*parts: tuple[str, Section], title: str = "", **bounds: int) -> tuple[Chunk, ...]:
    extract = document(*parts)
    settings = ChunkSettings(
        **{
            "size": SETTINGS.size,
            "overlap": SETTINGS.overlap,
            "max_tokens": SETTINGS.max_tokens,
            "tokenizer_file": SETTINGS.tokenizer_file,
            **bounds,
        }  # type: ignore[arg-type]
    )
    chunks = chunk(extract, title, settings)
    check(extract, chunks, settings)
    return chunks


def check(extract: Extract, chunks: tuple[Chunk, ...], settings: ChunkSettings) -> None:
    """What holds for the chunks of any document."""
    count = token_counter(settings.tokenizer_file)
    assert [c.index for c in chunks] == list(range(len(chunks)))
    for c in chunks:
        body = extract.text[c.start : c.end]
        assert body.strip() and c.text.endswith(body)
        assert len(c.text) <= settings.size
        assert count(c.embedded_text) + 2 <= settings.max_tokens
        assert c.start_line == extract.text.count("\n", 0, c.start) + 1
        assert c.end_line == extract.text.count("\n", 0, c.end - 1) + 1
    covered = 0
    for c in chunks:
        assert c.start >= covered - settings.overlap
        assert not extract.text[covered : max(covered, c.start)].strip(), "no text is lost"
        covered = max(covered, c.end)
    assert not extract.text[covered : extract.sections[-1].end if extract.sections else 0].strip()


def test_a_short_document_is_one_chunk() -> None:
    (only,) = cut(("# Title\n\nOne paragraph.\n", like("markdown", "Title")), title="Title")
    assert only.text == "# Title\n\nOne paragraph."
    assert (only.start_line, only.end_line) == (1, 3)
    assert only.heading == ("Title",)


def test_a_document_without_text_has_no_chunks() -> None:
    assert cut((" \n\t\n", like())) == ()
    assert chunk(Extract("", ()), "", SETTINGS) == ()


def test_prose_is_cut_between_sentences_and_paragraphs_without_overlap() -> None:
    chunks = cut(("\n\n".join(prose(9) for _ in range(5)), like("text")))
    assert len(chunks) > 3
    assert all(c.text.endswith(".") for c in chunks)
    assert all(b.start >= a.end for a, b in pairwise(chunks))


def test_a_sentence_longer_than_a_chunk_is_cut_between_words_with_overlap() -> None:
    chunks = cut((" ".join(f"word{i}" for i in range(600)), like("text")), max_tokens=2000)
    assert len(chunks) > 2
    for a, b in pairwise(chunks):
        assert 0 < a.end - b.start <= 200
        assert b.text.split()[0] in a.text.split(), "the overlap begins with a whole word"


def test_adjacent_small_sections_under_one_heading_become_one_chunk() -> None:
    chunks = cut(
        *(
            (f"## Part {i}\n\nA short remark on part {i}.\n\n", like("markdown", "Guide", f"{i}"))
            for i in range(8)
        )
    )
    assert len(chunks) == 1
    assert chunks[0].heading == ("Guide",), "what the parts have in common"


def test_separate_sections_are_not_mixed() -> None:
    chunks = cut(
        (f"# One\n\n{prose(5)}\n\n", like("markdown", "One")),
        (f"# Two\n\n{prose(5)}\n", like("markdown", "Two")),
    )
    assert [c.heading for c in chunks] == [("One",), ("Two",)]


@pytest.mark.parametrize("sentences", [2, 10, 12, 40])
def test_a_heading_is_in_the_chunk_of_its_first_text(sentences: int) -> None:
    body = "No stop in here, " * (sentences * 5)
    chunks = cut(
        ("# Book\n\n", like("markdown", "Book")),
        ("## Chapter\n\n", like("markdown", "Book", "Chapter")),
        (f"### Section\n\n{body}", like("markdown", "Book", "Chapter", "Section")),
    )
    assert chunks[0].text.startswith("# Book") and "No stop" in chunks[0].text
    assert len(chunks[0].text) > 200


def test_a_chunk_never_spans_pages() -> None:
    chunks = cut(
        ("A short first page.\n", like("text", page=1)), ("And a second.\n", like("text", page=2))
    )
    assert [(c.page, c.text) for c in chunks] == [(1, "A short first page."), (2, "And a second.")]


def table(rows: int, width: int = 20) -> tuple[str, Section]:
    lines = ["name,value", *(f"row{i}," + "x" * width for i in range(rows))]
    breaks = [0]
    for line in lines[:-1]:
        breaks.append(breaks[-1] + len(line) + 1)
    marks = {"repeat": "name,value\n", "breaks": tuple(breaks)}
    return "\n".join(lines), like("records", "people.csv", **marks)


def test_records_are_packed_whole_and_their_header_is_repeated() -> None:
    chunks = cut(table(200))
    assert len(chunks) > 4
    assert all(c.text.startswith("name,value\nrow") for c in chunks)
    assert all(len(line) > 20 for c in chunks for line in c.text.splitlines()[1:])


def test_a_record_longer_than_a_chunk_is_cut_by_itself() -> None:
    chunks = cut(table(3, width=5000))
    assert len(chunks) > 15


def test_a_header_too_long_to_repeat_is_not_repeated() -> None:
    header = ",".join(f"column{i}" for i in range(5000)) + "\n"
    row = ",".join(str(i) for i in range(5000)) + "\n"
    breaks = (0, len(header), len(header) + len(row))
    chunks = cut((header + row * 2, like("records", repeat=header, breaks=breaks)))
    assert all(not c.text.startswith("column0,column1,column2,column3\n") for c in chunks)


def test_the_context_is_a_short_title_with_headings() -> None:
    chunks = cut(
        (f"{prose(3)}", like("markdown", "Guide", "Install", "Linux")),
        title="Guide",
    )
    assert chunks[0].context == "Guide › Install › Linux"
    chunks = cut(
        (prose(3), like("markdown", *(f"{i} " + "very long heading " * 20 for i in range(6)))),
        title="Manual",
    )
    assert len(chunks[0].context) <= 160
    assert chunks[0].context.startswith("Manual › ")
    assert "5 very long" in chunks[0].context, "the nearest heading says most"


def test_code_is_cut_between_statements_and_keeps_its_indentation() -> None:
    body = "\n\n".join(
        f"    if value == {i}:\n        print('branch {i}')\n        return {i}" for i in range(60)
    )
    chunks = cut((f"def f(value):\n{body}\n", like("code", "f", language="python")))
    assert len(chunks) > 3
    assert all(c.text.startswith(("def", "    ")) for c in chunks)
    assert all(c.heading == ("f",) for c in chunks)


def test_dense_text_is_cut_to_the_embedder_s_limit() -> None:
    chunks = cut(("漢字仮名交じり文。" * 400, like("text")))
    assert max(len(c.text) for c in chunks) < 260
    chunks = cut((" ".join(f"{i * 2654435761 % 2**32:08x}" for i in range(900)), like("text")))
    assert len(chunks) > 20


def test_without_a_tokenizer_the_token_count_is_overestimated() -> None:
    exact = token_counter(SETTINGS.tokenizer_file)
    for text in (prose(10), "漢字仮名交じり文。" * 50, "x = f(a, b)[0] ** 2 - g.h\n" * 20):
        assert token_counter(None)(text) >= exact(text)
    extract = document((prose(100), like("text")))
    for c in chunk(extract, "", ChunkSettings(1000, 200, 128, None)):
        assert exact(c.embedded_text) + 2 <= 128


def test_counting_word_by_word_is_exact() -> None:
    from tokenizers import Tokenizer

    assert SETTINGS.tokenizer_file
    extract_plain_text = Tokenizer.from_file(SETTINGS.tokenizer_file)
    extract_plain_text.no_truncation()
    extract_plain_text.no_padding()
    count = token_counter(SETTINGS.tokenizer_file)
    for text in (
        prose(20),
        Path(__file__).read_text("utf-8"),
        "a-b_c.d(e)\n\tİstanbul ﬁn 東京タワー e\u0301 \u200b\u00ad „Größe“ — x² ½ 👍\U0001f3fd "
        + "y" * 300,
    ):
        assert count(text) == len(extract_plain_text.encode(text, add_special_tokens=False).ids)


HOSTILE = {
    "one word without an end": "a" * 300_000,
    "one line of words": "word " * 80_000,
    "sentences in one line": prose(4_000),
    "a long section": prose(700),
    "brackets": "[{(" * 50_000,
    "emoji": "👩‍👩‍👧‍👦" * 10_000,
    "combining marks": "e" + "\u0301" * 100_000,
    "ideographs without a stop": "漢字仮名交じり文" * 10_000,
    "blank lines": " \n" * 300_000 + "end",
    "one letter a line": "a\n" * 100_000,
}


@pytest.mark.parametrize("kind", ["text", "markdown", "code"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_chunking_is_fast_for_any_text(text: str, kind: str) -> None:
    began = time.process_time()
    chunks = chunk(document((text, like(kind, language="python"))), "", SETTINGS)
    # A third of a second on a quiet machine; what grows with the square of the length takes ten.
    assert time.process_time() - began < 3.0
    assert chunks and all(len(c.text) <= SETTINGS.size for c in chunks)


def test_real_long_documents_are_covered_within_the_bounds(shared_data: Path) -> None:
    for path in sorted((shared_data / "retrieval" / "chunking" / "docs").glob("*.md")):
        text = path.read_text("utf-8")
        chunks = cut((text, like("markdown")), title=path.stem)
        assert sum(len(c.text) < 100 for c in chunks) <= 1
