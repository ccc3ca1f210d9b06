"""The weight of meaning follows from the embedder's own cosines, whatever their spread."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations.scope import sources_of
from allma_server.ports import Embedder, Vector, Vectors
from allma_server.providers.embedding import EMBEDDERS, open_embedder
from allma_server.providers.embedding.forwarding import ForwardingEmbedder
from allma_server.providers.embedding.local import MODEL
from allma_server.search.search import Scope, rank_passages
from allma_server.types import Passage
from tests.unit.search.corpus import indexed

SUBJECTS = {
    "lighthouse": "The keeper lights the lamp of the lighthouse at dusk and winds the clockwork.",
    "tides": "The moon pulls the water of the sea, which rises and falls twice a day.",
    "bread": "Knead the dough for ten minutes and let it rise under a cloth until doubled.",
    "invoice": "The invoice is due within thirty days; a reminder costs five euros.",
    "retry": "A request that fails is repeated after a pause that doubles each time.",
    "tomatoes": "Tomatoes need sun, water and patience; cut off the side shoots.",
    "backup": "Copies of the database are written every night and kept for a month.",
    "harbour": "Ships wait outside the harbour for the pilot, who knows the sandbanks.",
}
TEXTS = {
    f"{name}{number}.md": f"# {name}\n\n{text} {ending}\n"
    for name, text in SUBJECTS.items()
    for number, ending in enumerate(
        ("", "This is done with care.", "Ask a colleague first.", "It was different before.")
    )
}
QUERIES = (
    "who switches the beacon on in the evening",
    "why does the ocean go up and down",
    "baking a loaf",
    "when must the bill be paid",
    "try an HTTP call again after an error",
    "sandbanks outside the harbour",
)


class Squeezed(ForwardingEmbedder):
    """Gives cosines of 1 - share + share * cosine, by a dimension that all texts have in common."""

    identity = "squeezed/minilm"  # type: ignore[assignment]
    dimensions = 385  # type: ignore[assignment]

    def __init__(self, embedder: Embedder, share: float) -> None:
        super().__init__(embedder)
        self._share = share

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        return self._squeezed(await super().embed_documents(texts, urgent=urgent))

    async def embed_query(self, text: str) -> Vector:
        return self._squeezed((await super().embed_query(text))[None])[0]

    def _squeezed(self, vectors: Vectors) -> Vectors:
        common = np.full((len(vectors), 1), (1 - self._share) ** 0.5, np.float32)
        return np.hstack([vectors * np.float32(self._share**0.5), common])


@asynccontextmanager
async def open_squeezed(share: str, config: Config) -> AsyncGenerator[Squeezed]:
    async with open_embedder(f"local/{MODEL}", config) as embedder:
        yield Squeezed(embedder, float(share))


async def ranked(config: Config, folder: Path, embedder: str) -> list[list[Passage]]:
    config = config.model_copy(
        update={"embedder": embedder, "data_dir": config.data_dir / embedder.replace("/", "_")}
    )
    async with open_engine(config) as engine:
        call = await indexed(engine, folder / embedder.replace("/", "_"), TEXTS)
        rankings = [await rank_passages(q, 5, Scope(), sources_of(call)) for q in QUERIES]
        return [ranking.passages[:10] for ranking in rankings]


@pytest.mark.parametrize("share", ["0.5", "0.15"])
async def test_squeezed_cosines_give_the_same_ranking(
    config: Config, tmp_path: Path, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EMBEDDERS, "squeezed", open_squeezed)  # type: ignore[arg-type]
    usual = await ranked(config, tmp_path, f"local/{MODEL}")
    squeezed = await ranked(config, tmp_path, f"squeezed/{share}")
    for one, other in zip(usual, squeezed, strict=True):
        scores = {Path(passage.path).name: passage.score for passage in one}
        found = {Path(passage.path).name: passage.score for passage in other}
        assert found == pytest.approx(scores, rel=0.02, abs=0.2)
        # Passages whose scores hardly differ may change places.
        best = [scores[name] for name in list(found)[:3]]
        assert best == pytest.approx(list(scores.values())[:3], rel=0.02, abs=0.2)


async def test_the_separation_is_measured_once_and_stored(config: Config, tmp_path: Path) -> None:
    config = config.model_copy(update={"embedder": f"local/{MODEL}"})
    async with open_engine(config) as engine:
        assert await engine.embedder.separation() is None, "before the first ingestion"
        await indexed(engine, tmp_path / "texts", TEXTS)
        measured = await engine.embedder.separation()
        assert measured is not None and measured.signal > 4 * measured.noise
    async with open_engine(config) as engine:
        embedder = await engine.embedder.resolved()

        async def refuse(text: str) -> Vector:
            raise AssertionError(text)

        embedder.embed_query = refuse  # type: ignore[method-assign]
        assert await engine.embedder.separation() == measured


async def test_words_decide_where_an_embedder_does_not_understand(
    config: Config, tmp_path: Path
) -> None:
    """Texts that differ in one word: to hashed words, all of them are alike."""
    texts = {f"port{n}.md": f"The harbour master of port {n} is on call.\n" for n in range(300)}
    texts["last.md"] = "Quicksilver lies in the old harbour.\n"
    async with open_engine(config) as engine:
        call = await indexed(engine, tmp_path / "texts", texts)
        [passage, *_] = (await rank_passages("quicksilver", 5, Scope(), sources_of(call))).passages
        assert Path(passage.path).name == "last.md"
