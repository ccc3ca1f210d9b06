"""A question that is asked again gets its answer again, while nothing has changed."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from allma_server.answering.cache import AnswerCache
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, RIGHTS, Answer, Principal

QUESTION = "How long is the glacier?"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "glacier.md").write_text("# Glacier\n\nThe glacier is twenty kilometres long.\n")
    return folder


@pytest_asyncio.fixture
async def engine(tmp_path: Path, here: Path) -> AsyncGenerator[Engine]:
    config = Config(
        data_dir=tmp_path / "data",
        embedder="hashing/words-256",
        chat_provider="scripted",
        response_cache_seconds=600,
    )
    async with open_engine(config) as opened:
        await run(opened, "ingest", paths=[str(here)])
        yield opened


async def run(engine: Engine, name: str, who: Principal = LOCAL, **arguments: Any) -> Any:
    return await BY_NAME[name](Call(engine, who), arguments)


async def ask(engine: Engine, here: Path, who: Principal = LOCAL, **more: Any) -> Answer:
    return await run(engine, "ask", who, question=QUESTION, workspace=str(here), **more)


async def test_a_repeated_question_is_answered_from_the_cache(engine: Engine, here: Path) -> None:
    first, again = await ask(engine, here), await ask(engine, here)
    assert (first.stats.cached, again.stats.cached) == (False, True)
    assert (again.text, again.citations) == (first.text, first.citations)
    assert "From the cache" in (again.notice or "")
    assert again.conversation_id != first.conversation_id
    continued = await ask(engine, here, conversation_id=again.conversation_id)
    assert not continued.stats.cached
    shown = await run(engine, "conversations.show", id=again.conversation_id)
    assert [message.role for message in shown.messages] == ["user", "assistant"] * 2
    assert shown.messages[1].sources


async def test_only_changes_in_its_scope_clear_an_answer(
    engine: Engine, here: Path, tmp_path: Path
) -> None:
    await ask(engine, here)
    other = tmp_path / "other"
    other.mkdir()
    for text in ("# Volcano\n\nIt is hot.\n", "# Volcano\n\nIt erupts.\n"):
        (other / "volcano.md").write_text(text)
        await run(engine, "ingest", paths=[str(other)])
        assert (await ask(engine, here)).stats.cached
    assert (await run(engine, "ask", question=QUESTION)).stats.cached is False
    (here / "new.md").write_text("# New\n\nThe glacier grows.\n")
    await run(engine, "sync")
    assert not (await ask(engine, here)).stats.cached
    # The disk decides, also before the change is indexed.
    (here / "glacier.md").write_text("# Glacier\n\nThe glacier is nine kilometres long.\n")
    assert not (await ask(engine, here)).stats.cached


async def test_forgetting_clears_all_answers(engine: Engine, here: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "volcano.md").write_text("# Volcano\n\nIt is hot.\n")
    await run(engine, "ingest", paths=[str(other)])
    await ask(engine, here)
    await run(engine, "forget", path=str(other))
    assert not (await ask(engine, here)).stats.cached


async def test_an_answer_belongs_to_the_grants_of_who_asked(engine: Engine, here: Path) -> None:
    await ask(engine, here)
    ann, bob = (
        Principal(name, RIGHTS["read"], user=name, workspaces=(str(here),))
        for name in ("ann", "bob")
    )
    assert not (await ask(engine, here, ann)).stats.cached
    assert (await ask(engine, here, bob)).stats.cached
    assert not (await ask(engine, here, top_k=1)).stats.cached


async def test_an_answer_expires(engine: Engine, here: Path) -> None:
    answer, cache = await ask(engine, here), AnswerCache()
    cache.add("key", answer)
    assert cache.find("key", 60)
    assert cache.find("key", 0) is None
    assert cache.find("key", 60) is None
