"""Locations of passages in formats whose text is extracted."""

from pathlib import Path

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.uris import content
from allma_server.types import LOCAL, Excerpt, SearchResult


async def found(engine: Engine, query: str) -> SearchResult:
    return await BY_NAME["search"](Call(engine, LOCAL), {"query": query})


async def test_a_result_in_a_web_page_has_its_line_in_the_file(
    engine: Engine, tmp_path: Path
) -> None:
    page = "<html><head><title>Tides</title>\n" + "<!-- padding -->\n" * 599 + "<body>\n"
    for n in range(3_000):
        page += f"<h2>Port {n}</h2>\n<p>The harbour master of port {n} is on\ncall {n}.</p>\n"
    page += "<p>Quicksilver lies in the old lighthouse.</p>\n<div>\n\n</div>\n<p>End.</p></body>\n"
    file = tmp_path / "pages" / "tides.html"
    file.parent.mkdir()
    file.write_text(page)
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(file.parent)]})

    [passage, *_] = (await found(engine, "quicksilver lighthouse")).passages
    lines = page.split("\n")
    assert "Quicksilver" in "\n".join(lines[passage.start_line - 1 : passage.end_line])
    assert passage.end_line - passage.start_line < 60
    assert passage.uri.endswith(f"#L{passage.start_line}-L{passage.end_line}")

    shown: Excerpt = await BY_NAME["read"](
        Call(engine, LOCAL), {"source": str(file), "start_line": passage.start_line}
    )
    assert "Quicksilver" in shown.text and shown.source == "index"
    assert (shown.start_line, shown.total_lines) == (passage.start_line, passage.end_line)


async def test_a_page_on_one_line_is_found_and_read_completely(
    engine: Engine, tmp_path: Path
) -> None:
    words = [f"<p>Clause {n} binds the carrier of cargo {n} to the port.</p>" for n in range(2_000)]
    file = tmp_path / "pages" / "contract.html"
    file.parent.mkdir()
    file.write_text("".join(words))
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(file.parent)]})

    passages = (await found(engine, "carrier of cargo")).passages
    assert len(passages) > 1
    assert {(each.start_line, each.end_line) for each in passages} == {(1, 1)}
    whole = (await content(Call(engine, LOCAL), f"allma://document/{passages[0].document_id}")).text
    assert "Clause 0 " in whole and "Clause 1999 " in whole
