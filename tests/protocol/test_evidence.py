"""What the passages support decides about an answer, in every protocol; the model is scripted."""

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from allma_server.answering.gate import Calibration, save_calibration
from allma_server.answering.refusal import REFUSAL
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call, jsonable
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.types import LOCAL
from tests.ollama.wire import Exchange, serving
from tests.protocol.test_parity import every, steady

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN = {"capabilities": ["completion"], "model_info": {"llama.context_length": 8192}}
HARBOUR = """# Harbour

The delivery includes binaries and manuals. The source code is not included.

The harbour of Elm was opened in 1871 and has 14 berths. Its ferry crosses the bay twice a day.
"""
QUOTED = 'The documents say: "The source code is not included." [1]'


@dataclass
class Model:
    """What the scripted model writes, and how sure it is of its first word."""

    says: str = ""
    sure: float = 1.0
    gates: list[str] = field(default_factory=list[str])

    async def serve(self, exchange: Exchange) -> None:
        if exchange.path == "/api/show":
            return await exchange.answer(SHOWN)
        if exchange.path != "/api/chat":
            return await exchange.answer({"version": "0.33.0", "models": []})
        if not exchange.body.get("logprobs"):
            await exchange.begin()
            await exchange.lines(
                *({"message": {"content": word}} for word in self.says.split("|")),
                {"message": {"content": ""}, "done": True, "done_reason": "stop"},
            )
            return None
        self.gates.append(exchange.body["messages"][-1]["content"])
        tokens = [("14", self.sure), ("unknown", 1 - self.sure)]
        top = [{"token": t, "logprob": math.log(max(p, 1e-9))} for t, p in tokens]
        done = {"done": True, "logprobs": [{"token": "14", "logprob": 0, "top_logprobs": top}]}
        return await exchange.answer({"message": {"content": "14"}, **done})


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(model: Model, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Engine]:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "harbour.md").write_text(HARBOUR)
    async with serving(model.serve) as wire:
        config = Config(
            data_dir=tmp_path_factory.mktemp("data"),
            embedder="hashing/words-256",
            vector_store="exact",
            chat_model="m",
            ollama_url=wire.url,
            response_cache_seconds=0,
        )
        async with open_engine(config) as engine:
            await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(folder)]})
            yield engine


@pytest.fixture
def provider(asked: Engine) -> EngineProvider:
    async def ready() -> Engine:
        return asked

    return ready


async def same_everywhere(
    engine: Engine, provider: EngineProvider, question: str, **more: object
) -> Any:
    """The answer to a question, which is the same in the shell, an editor and an AI client."""
    asking = {"question": question, **more}
    expected = steady(jsonable(await BY_NAME["ask"](Call(engine, LOCAL), asking)))
    async with every(provider) as (lsp, mcp, shell):
        assert steady(await lsp.result("allma/ask", asking)) == expected
        assert steady(jsonable(await shell.run("ask", asking))) == expected
        assert steady((await mcp.tool("ask", **asking))["structuredContent"]) == expected
    return expected


@pytest.mark.parametrize(
    ("question", "says", "text", "grounding"),
    [
        (
            "What about the source code?",
            "The source code| is not| included.",
            "The source code is not included. [1]",
            "cited",
        ),
        (
            "What is the capital of France?",
            "The ferry| crosses the bay| twice a day [1].",
            "The ferry crosses the bay twice a day.",
            "uncited",
        ),
        (
            "When was the harbour opened?",
            "The harbour was opened| in 1905 [1].",
            "The harbour was opened in 1905.",
            "uncited",
        ),
        (
            "Is the source code included in the delivery?",
            "The source code| is included in the delivery [1].",
            QUOTED,
            "cited",
        ),
        (
            "What is known about Elm?",
            "The harbour| was opened in| 1871. It| smells of tar.| Its ferry crosses the bay.",
            "The harbour was opened in 1871. [1] It smells of tar. Its ferry crosses the bay. [1]",
            "cited",
        ),
        (
            "Who built the harbour?",
            "Die Quellen| enthalten keine| Angaben dazu.",
            "Die Quellen enthalten keine Angaben dazu.",
            "declined",
        ),
        ("Who built the harbour?", f"{REFUSAL} [1]", REFUSAL, "declined"),
        (
            "How many berths has the harbour?",
            "[1]",
            'The documents say: "The harbour of Elm was opened in 1871 and has 14 berths." [1]',
            "cited",
        ),
        (
            "How many berths has the harbour?",
            "<<source 1 abcd1234: x>>\nIt has| 14 berths [1].",
            "It has 14 berths [1].",
            "cited",
        ),
    ],
)
@pytest.mark.invariant(18)
async def test_the_passages_decide_whether_an_answer_stands(
    asked: Engine, provider: EngineProvider, model: Model,
    question: str, says: str, text: str, grounding: str,
) -> None:  # fmt: skip
    model.says = says
    answer = await same_everywhere(asked, provider, question)
    assert (answer["text"], answer["grounding"]) == (text, grounding)


async def test_a_sentence_that_an_answer_overlooks_is_named(
    asked: Engine, provider: EngineProvider, model: Model
) -> None:
    model.says = "It is| a box."
    answer = await same_everywhere(asked, provider, "Does the delivery include binaries?")
    assert 'Source [1] says: "The delivery includes binaries and manuals."' in answer["notice"]


@pytest.mark.invariant(17)
async def test_a_calibrated_model_is_asked_first_how_sure_it_is(
    asked: Engine, provider: EngineProvider, model: Model
) -> None:
    measured = Calibration("m", None, None, 0.4, 0.95, 0.9, 0.0, 20)
    await save_calibration(asked.catalog, measured)
    try:
        model.says, model.sure = "The harbour has| 14 berths [1].", 0.2
        refused = await same_everywhere(asked, provider, "How tall is the crane of the harbour?")
        assert (refused["text"], refused["grounding"]) == (REFUSAL, "declined")
        gate = refused["stats"]["gate"]
        assert gate["refused"] and gate["probability"] < gate["threshold"] == 0.4
        model.sure = 0.9
        answered = await same_everywhere(asked, provider, "How many berths has the harbour?")
        assert answered["text"] == "The harbour has 14 berths [1]."
        model.sure = 0.0
        parts = "Who built the harbour and how tall is its crane?"
        deep = await same_everywhere(asked, provider, parts, deep=True)
        assert deep["text"] == (
            "Not found in the documents: Who built the harbour; how tall is its crane?"
        )
        # A sentence decides this, so the model is not asked.
        model.sure, model.says = 0.0, "No, the source code is not included [1]."
        model.gates.clear()
        sure = await same_everywhere(asked, provider, "Is the source code included?")
        assert sure["text"] == QUOTED
        assert (model.gates, sure["stats"]["gate"]) == ([], None)
    finally:
        await save_calibration(asked.catalog, Calibration("m", None, None, None, 0, 0, 0, 0))


async def test_a_model_that_repeats_itself_is_stopped(
    asked: Engine, provider: EngineProvider, model: Model
) -> None:
    model.says = "The harbour was opened in 1871.|" + " And it has many berths.|" * 50
    async with every(provider) as (lsp, _, _):
        answer = await lsp.result("allma/ask", {"question": "When was the harbour opened?"})
    assert "repeated itself" in answer["notice"] and answer["grounding"] == "cut_off"
