"""A passage that only inherits its words from a heading ranks below a text that has them."""

from pathlib import Path

from allma_server.engine import Engine
from allma_server.operations import BY_NAME
from allma_server.types import Explanation, SearchResult
from tests.unit.search.corpus import indexed

LONG = " ".join(f"Step {n}: open the lid, look inside and close it again." for n in range(60))
FILES = {
    "manual.md": f"# Turbine inspection\n\nBefore you begin, read all of it.\n\n"
    f"## Spring\n\n{LONG}\n\n## Autumn\n\n{LONG} Then go home.\n",
    "log.txt": "In May nobody was there, so the yearly inspection of the old turbine was put off. "
    + "The boat was repaired, the roof was painted and the garden was cleared of leaves. " * 6,
}


async def test_a_text_with_the_words_outranks_one_below_their_heading(
    engine: Engine, tmp_path: Path
):
    call = await indexed(engine, tmp_path / "plant", FILES)
    query = "turbine inspection"
    explained: Explanation = await BY_NAME["explain"](call, {"query": query})
    order = [(Path(c.passage.path).name, c.inherits) for c in explained.candidates]
    assert ("manual.md", True) in order
    assert order.index(("log.txt", False)) < order.index(("manual.md", True))
    found: SearchResult = await BY_NAME["search"](call, {"query": "Spring"})
    assert "Step" in found.passages[0].text, "one word is a subject"
