"""An embedder's knowledge of a script, measured by its own cosines."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from allma_server._internal.scripts import script_shares
from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.errors import ProviderUnreachable
from allma_server.ports import Vector, Vectors
from allma_server.providers.embedding import open_embedder
from allma_server.search.probes import PROBES
from allma_server.search.script_knowledge import MIN_KNOWLEDGE, ScriptKnowledge

ARABIC, HINDI, CHINESE = "متى أغير كلمة المرور؟", "पासवर्ड कैसे बदलें", "怎么修改密码"
GEORGIAN = "როგორ შევცვალო პაროლი"


class TellsApart:
    """Embeds each text as a point of its own, so that it knows every language."""

    identity, dimensions, max_tokens, tokenizer_file = "apart", 64, 512, None
    calls = 0

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        self.calls += 1
        return np.stack([await self.embed_query(text) for text in texts])

    async def embed_query(self, text: str) -> Vector:
        seed = int.from_bytes(text.encode()[:64], "little") % (1 << 32)
        vector = np.random.default_rng(seed).standard_normal(64).astype(np.float32)
        return _unit(vector)


class Crowds(TellsApart):
    """Sees only whether letters are of the alphabet, as an English embedder does."""

    identity = "crowds"

    async def embed_query(self, text: str) -> Vector:
        vector = await super().embed_query(text)
        if not text.isascii():
            vector[0] += 50
        return _unit(vector)


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.fixture
async def knowledge():
    async with background_tasks() as tasks:
        yield ScriptKnowledge(tasks)


@pytest.mark.parametrize("query", [ARABIC, HINDI, CHINESE, GEORGIAN, "Где пароль", "비밀번호 변경"])
async def test_words_decide_in_a_script_whose_texts_are_crowded_together(
    query: str, knowledge: ScriptKnowledge
):
    assert await knowledge.of_text(query, Crowds()) == MIN_KNOWLEDGE
    assert await knowledge.of_text(query, TellsApart()) > 0.9


@pytest.mark.parametrize("query", ["password", "Kündigungsfrist", "12:30", "?!", "ｆｕｌｌ"])
async def test_latin_letters_need_no_measurement(query: str, knowledge: ScriptKnowledge):
    embedder = Crowds()
    assert await knowledge.of_text(query, embedder) == 1.0
    assert embedder.calls == 0


async def test_a_query_in_two_scripts_is_known_in_part(knowledge: ScriptKnowledge):
    known = await knowledge.of_text(f"rollback.sh {ARABIC}", Crowds())
    assert MIN_KNOWLEDGE < known < 0.6


async def test_each_script_is_measured_once(knowledge: ScriptKnowledge):
    embedder = Crowds()
    for _ in range(3):
        await knowledge.of_text(ARABIC, embedder)
        await knowledge.of_text(HINDI, embedder)
    assert embedder.calls == 3  # English, Arabic, Devanagari


async def test_meaning_counts_in_full_when_the_embedder_fails(knowledge: ScriptKnowledge):
    class Fails(TellsApart):
        async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            raise ProviderUnreachable("The embedding server is down.")

    assert await knowledge.of_text(ARABIC, Fails()) == 1.0


async def test_a_bug_in_an_embedder_ends_no_other_task(knowledge: ScriptKnowledge):
    class Breaks(TellsApart):
        identity = "breaks"

        async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            raise ValueError("shapes do not fit")

    assert await knowledge.of_text(ARABIC, Breaks()) == 1
    assert await knowledge.of_text(ARABIC, Crowds()) == MIN_KNOWLEDGE


async def test_a_search_does_not_wait_long_for_the_measurement(
    monkeypatch: pytest.MonkeyPatch, knowledge: ScriptKnowledge
):
    answers = asyncio.Event()

    class Slow(Crowds):
        async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            await answers.wait()
            return await super().embed_documents(texts, urgent=urgent)

    monkeypatch.setattr("allma_server.search.script_knowledge.MEASURE_SECONDS", 0.01)
    assert await knowledge.of_text(ARABIC, Slow()) == 1.0
    answers.set()
    monkeypatch.undo()
    assert await knowledge.of_text(ARABIC, Slow()) == MIN_KNOWLEDGE


async def test_the_bundled_model_knows_latin_letters_only(
    tmp_path: Path, knowledge: ScriptKnowledge
):
    config = Config(data_dir=tmp_path)
    async with open_embedder("local/all-MiniLM-L6-v2-int7", config) as embedder:
        known = {script: await knowledge.of_script(script, embedder) for script in PROBES}
    assert known.pop("Latin") == 1.0
    assert max(known.values()) < 0.5


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("plain text", {"Latin"}), ("über naïve", {"Latin"}), ("12 %", set()), ("", set()),
        ("كلمة", {"Arabic"}), ("पासवर्ड", {"Devanagari"}), ("密码", {"Han"}),
        ("パスワード", {"Japanese"}),
        ("변경", {"Hangul"}), ("ｶﾀｶﾅ", {"Japanese"}), ("πού", {"Greek"}), ("де", {"Cyrillic"}),
        ("სად", {"Georgian"}), ("ที่ไหน", {"Thai"}), ("USB كابل", {"Latin", "Arabic"}),
    ],
)  # fmt: skip
def test_scripts_are_named_by_the_letters_of_a_text(text: str, scripts: set[str]):
    shares = script_shares(text)
    assert shares.keys() == scripts
    assert not shares or sum(shares.values()) == pytest.approx(1)
