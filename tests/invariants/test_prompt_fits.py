"""The prompt fits the model's context for all questions and passages."""

from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL
from tests.ollama.wire import Exchange, Script, serving
from tests.unit.answering.test_ask import line

CONTEXT = 2048
SHOWN = {"capabilities": ["completion"], "model_info": {"llama.context_length": CONTEXT}}


def model(prompt_tokens: int) -> Script:
    """Serve a small model that reports the number of prompt tokens it read."""

    async def script(exchange: Exchange) -> None:
        match exchange.path:
            case "/api/chat":
                await exchange.begin()
                end = line(done="stop") | {"prompt_eval_count": prompt_tokens}
                await exchange.lines(line("Lamps burn in towers [1]."), end)
            case "/api/show":
                await exchange.answer(SHOWN)
            case "/api/tags":
                await exchange.answer({"models": [{"name": "m", **SHOWN}]})
            case _:
                await exchange.answer({"version": "0.33.0"})

    return script


@pytest.mark.invariant(14)
@pytest.mark.parametrize(("read", "truncated"), [(1400, False), (100, True)])
async def test_the_prompt_fits_and_truncation_is_reported(
    read: int, truncated: bool, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(40):
        text = f"Lamp {number} burns in the tower of harbour {number}. " * 15
        (docs / f"lamp{number}.md").write_text(f"# Lamp {number}\n\n{text}\n")
    async with serving(model(read)) as wire:
        config = Config(
            data_dir=tmp_path / "data", embedder="hashing/words-256", ollama_url=wire.url,
            chat_model="m", watch=False,
        )  # fmt: skip
        async with open_engine(config) as engine:
            await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(docs)]})
            asked = {"question": "Which lamp burns in which tower?", "top_k": 50}
            answer = await BY_NAME["ask"](Call(engine, LOCAL), asked)
    [body] = wire.bodies("/api/chat")
    characters = sum(len(message["content"]) for message in body["messages"])
    context = body["options"]["num_ctx"]
    assert context <= CONTEXT
    # English has about four characters to a token; the answer needs tokens as well.
    assert 1000 < characters < context * 4 - body["options"].get("num_predict", 0)
    assert answer.stats.truncated is truncated
