"""Answers when the model server fails: what is shown and stored."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from allma_server.answering.refusal import REFUSAL
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import (
    AllmaError,
    AnswerInterrupted,
    ApiKeyRefused,
    EmptyAnswer,
    InputTooLong,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderError,
)
from allma_server.operations import BY_NAME
from allma_server.operations.call import Call, NullProgress
from allma_server.types import LOCAL, Answer, Message
from tests.ollama.wire import Exchange, Script, Wire, serving

TEXT = "The lighthouse of Kernow has seven gates and was built by Ada Penrose in 1871.\n"
QUESTION = "How many gates has the lighthouse of Kernow?"
SHOWN = {"capabilities": ["completion"], "model_info": {"llama.context_length": 8192}}

ChatScript = Callable[[Exchange], Awaitable[None]]


class ClientProgress(NullProgress):
    """Records what a client sees of an answer."""

    def __init__(self) -> None:
        self.shown = ""
        self.thought = ""
        self.started_answering = asyncio.Event()
        self.asked = asyncio.Event()

    async def started(self, conversation_id: str, message_id: str) -> None:
        self.asked.set()

    async def thinking(self, delta: str) -> None:
        self.thought += delta

    async def text(self, delta: str) -> None:
        self.shown += delta
        self.started_answering.set()


def line(text: str = "", *, done: str | None = None, **message: Any) -> dict[str, Any]:
    ended = {} if done is None else {"done": True, "done_reason": done, "eval_count": 3}
    return {"message": {"role": "assistant", "content": text, **message}, "done": False, **ended}


def lines(*objects: object) -> ChatScript:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(*objects)

    return chat


def status(code: int, body: object) -> ChatScript:
    async def chat(exchange: Exchange) -> None:
        await exchange.answer(body, code)

    return chat


def server(chat: ChatScript, shown: object = SHOWN) -> Script:
    async def script(exchange: Exchange) -> None:
        match exchange.path:
            case "/api/show":
                await exchange.answer(shown)
            case "/api/chat" | "/chat/completions":
                await chat(exchange)
            case "/api/tags":
                await exchange.answer({"models": [{"name": "m", **SHOWN}]})
            case _:
                await exchange.answer({"version": "0.33.0", "data": [{"id": "m"}]})

    return script


@asynccontextmanager
async def asking(
    chat: ChatScript, folder: Path, provider: str = "ollama", shown: object = SHOWN
) -> AsyncGenerator[tuple[Engine, Wire]]:
    """Open an engine that has indexed TEXT, with a model server that runs this script."""
    docs = folder / "docs"
    docs.mkdir()
    (docs / "kernow.md").write_text(TEXT)
    async with serving(server(chat, shown)) as wire:
        config = Config(
            data_dir=folder / "data",
            embedder="hashing/words-256",
            vector_store="exact",
            chat_provider=provider,
            chat_model="m",
            ollama_url=wire.url,
            openai_url=wire.url,
            response_cache_seconds=0,
        )
        async with open_engine(config) as engine:
            await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(docs)]})
            yield engine, wire


async def ask(engine: Engine, progress: ClientProgress | None = None, **more: object) -> Answer:
    call = Call(engine, LOCAL, progress or ClientProgress())
    return await BY_NAME["ask"](call, {"question": QUESTION, **more})


async def stored_messages(engine: Engine) -> list[Message]:
    """Return the stored messages of the only conversation."""
    page = await BY_NAME["conversations.list"](Call(engine, LOCAL), {})
    (conversation,) = page.conversations
    shown = await BY_NAME["conversations.show"](Call(engine, LOCAL), {"id": conversation.id})
    return shown.messages


FAILURES: dict[str, tuple[ChatScript, type[AllmaError], str]] = {
    "error in the first line": (
        lines({"error": "llama runner process has terminated"}), ProviderError, "terminated"
    ),
    "error in an object": (lines({"error": {"message": "bad"}}), ProviderError, "answered: bad"),
    "model is missing": (lines({"error": "model 'm' not found"}), ModelNotFound, "have the model"),
    "too long": (lines({"error": "exceeds the context length"}), InputTooLong, "too long"),
    "500": (status(500, {"error": "out of memory."}), ProviderError, "out of memory. See its log"),
    "500 without JSON": (status(500, "<html>"), ProviderError, "500 without a reason"),
    "401": (status(401, {"error": "unauthorized"}), ApiKeyRefused, "set-key ollama"),
    "403": (status(403, ""), ApiKeyRefused, "asks for an API key"),
    "404": (status(404, {"error": "model 'm' not found"}), ModelNotFound, "pull m"),
    "503": (status(503, {"error": "server busy"}), ProviderBusy, "busy: server busy. Try"),
    "429": (status(429, ""), ProviderBusy, "busy"),
    "redirect": (status(302, ""), ProviderError, "redirects"),
    "no chat": (status(400, {"error": '"m" does not support chat'}), ModelUnsuitable, "cannot do"),
    "no thinking": (
        status(400, {"error": '"m" does not support thinking'}), ModelUnsuitable, "thinking"
    ),
    "only thinking": (
        lines(line(thinking="hm"), line(thinking="hm", done="length")), EmptyAnswer,
        "used up its 1,024 tokens thinking",
    ),
    "only thinking in the text": (
        lines(line("<think>hm, "), line("gates"), line(done="length")), EmptyAnswer, "thinking"
    ),
    "thinking and no answer": (
        lines(line("<think>hm</think>"), line(done="stop")), EmptyAnswer, "after thinking"
    ),
    "loaded": (lines(line(done="load")), EmptyAnswer, "only loaded m"),
    "nothing": (lines(line(done="stop")), EmptyAnswer, "without writing anything"),
    "white space": (lines(line(" \n"), line(done="stop")), EmptyAnswer, "without writing anything"),
    "nothing to the limit": (lines(line(done="length")), EmptyAnswer, "end of its tokens"),
    "a tool call": (
        lines(line(tool_calls=[{"function": {"name": "f"}}]), line(done="stop")), EmptyAnswer,
        "asked for a tool",
    ),
    "numbers alone": (lines(line("[7]"), line(done="stop")), EmptyAnswer, "without saying"),
    "invisible signs": (
        lines(line("\u200b\ufeff\n"), line(done="stop")), EmptyAnswer, "without writing"
    ),
    "dots": (lines(line("..."), line(done="stop")), EmptyAnswer, "without saying"),
    "an empty block": (
        lines(line("```\n"), line("```"), line(done="stop")), EmptyAnswer, "without saying"
    ),
    "only marks": (lines(line("<|im_end|>"), line(done="stop")), EmptyAnswer, "without writing"),
    "no JSON": (lines("nonsense"), ProviderError, "unexpected response"),
    "a list": (lines([1]), ProviderError, "unexpected response"),
    "message is text": (lines({"message": "hello"}), ProviderError, "unexpected response"),
}  # fmt: skip


@pytest.mark.invariant(17)
@pytest.mark.parametrize("case", FAILURES)
async def test_a_failure_is_reported_with_its_cause_and_no_answer_is_stored(
    case: str, tmp_path: Path
) -> None:
    chat, kind, words = FAILURES[case]
    progress = ClientProgress()
    async with asking(chat, tmp_path) as (engine, _):
        with pytest.raises(AllmaError) as failed:
            await ask(engine, progress)
        messages = await stored_messages(engine)
    assert type(failed.value) is kind
    assert words in str(failed.value)
    assert failed.value.hint and ".." not in str(failed.value).replace("...", "")
    assert failed.value.conversation_id
    assert REFUSAL not in progress.shown
    assert [m.role for m in messages] == ["user"]


async def disconnect(exchange: Exchange) -> None:
    """Close the connection without an answer."""
    exchange.reset()


UNREACHABLE = {
    "lost": disconnect,
    "begun and lost": lines(),
    "closed after an empty line": lines(line()),
    "closed while it thinks": lines(line(thinking="hm")),
    "a proxy's 502": status(502, "<html>Bad gateway</html>"),
    "a proxy's 504": status(504, ""),
}


@pytest.mark.parametrize("case", UNREACHABLE)
async def test_a_server_that_disconnects_before_the_first_token_yields_the_passages(
    case: str, tmp_path: Path
) -> None:
    async with asking(UNREACHABLE[case], tmp_path) as (engine, _):
        answer = await ask(engine)
    assert answer.mode == "passages_only"
    assert [c.passage.text.strip() for c in answer.citations] == [TEXT.strip()]
    assert "Showing the best-matching passage instead." in answer.text
    assert REFUSAL not in answer.text


@pytest.mark.invariant(17)
async def test_without_passages_the_answer_says_so_instead_of_denying(
    tmp_path: Path,
) -> None:
    async with asking(lines(), tmp_path) as (engine, wire):
        answer = await ask(engine, path="*.nothing")
        assert not wire.bodies("/api/chat")
    assert "No indexed file matches '*.nothing'" in answer.text


async def test_a_complete_refusal_becomes_one_sentence(tmp_path: Path) -> None:
    chat = lines(line("The documents do not "), line("say this. [1]"), line(done="stop"))
    async with asking(chat, tmp_path) as (engine, _):
        answer = await ask(engine)
        messages = await stored_messages(engine)
    assert (answer.text, answer.grounding) == (REFUSAL, "declined")
    assert messages[-1].content == answer.text


@pytest.mark.parametrize("end", ["reset", "closed", "error", "filter"])
async def test_an_interrupted_answer_is_stored_as_cut_off_without_an_added_source(
    end: str, tmp_path: Path
) -> None:
    progress = ClientProgress()

    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(line("Seven gates were built by Ada Penrose "))
        await progress.started_answering.wait()
        if end == "reset":
            exchange.reset()
        elif end == "error":
            await exchange.lines({"error": "llama runner terminated"})
        elif end == "filter":
            await exchange.lines(line(done="content_filter"))

    async with asking(chat, tmp_path) as (engine, _):
        with pytest.raises(AnswerInterrupted):
            await ask(engine, progress)
        question, stored = await stored_messages(engine)
    assert question.role == "user"
    assert stored.content == progress.shown == "Seven gates were built by Ada Penrose …"
    assert stored.grounding == "cut_off" and stored.caution
    assert "[1]" not in stored.content


async def test_an_answer_that_reaches_its_limit_is_marked_as_cut_off(tmp_path: Path) -> None:
    chat = lines(line("Seven gates were built by Ada"), line(done="length"))
    async with asking(chat, tmp_path) as (engine, _):
        answer = await ask(engine)
        stored = (await stored_messages(engine))[-1]
    assert answer.text == stored.content == "Seven gates were built by Ada …"
    assert answer.grounding == stored.grounding == "cut_off"
    assert answer.stats.truncated and answer.caution


async def test_cancelling_before_the_first_token_stores_no_answer(tmp_path: Path) -> None:
    reached = asyncio.Event()

    async def chat(exchange: Exchange) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with asking(chat, tmp_path) as (engine, _):
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(ask(engine))
            await reached.wait()
            asked.cancel()
        messages = await stored_messages(engine)
    assert [m.role for m in messages] == ["user"]


async def test_the_text_of_a_cancelled_answer_is_stored_as_cut_off(tmp_path: Path) -> None:
    progress = ClientProgress()

    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(line("Seven gates were built by"))
        await asyncio.Event().wait()

    async with asking(chat, tmp_path) as (engine, _):
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(ask(engine, progress))
            await progress.started_answering.wait()
            asked.cancel()
        stored = (await stored_messages(engine))[-1]
    assert (stored.content, stored.grounding) == ("Seven gates were built by …", "cut_off")


HIDDEN = {
    "Ollama's own field": lines(line(thinking="Gates, "), line(thinking="gates?")),
    "in the text": lines(line("<think>Gates, [1] "), line("gates?</th"), line("ink>\n\n")),
    "only its end is marked": lines(line("Gates, gates [1]?\n"), line("</think>\n\n")),
    "channels": lines(
        line("<|channel|>analysis<|message|>Gates?<|end|><|start|>assistant<|channel|>final"),
        line("<|message|>"),
    ),
}


@pytest.mark.parametrize("case", HIDDEN)
async def test_thinking_is_not_shown_cited_or_stored(case: str, tmp_path: Path) -> None:
    async def chat(exchange: Exchange) -> None:
        await HIDDEN[case](exchange)
        await exchange.lines(line("It has seven gates [1].<|im_end|>"), line(done="stop"))

    progress = ClientProgress()
    async with asking(chat, tmp_path) as (engine, _):
        answer = await ask(engine, progress)
        stored = (await stored_messages(engine))[-1]
    assert answer.text == stored.content == "It has seven gates [1]."
    if case != "only its end is marked":
        assert progress.shown == answer.text


def event(**parts: Any) -> str:
    return f"data: {json.dumps({'choices': [parts]})}\n\n"


THINKS = {
    "reasoning_content": event(delta={"reasoning_content": "Gates?"}),
    "reasoning": event(delta={"reasoning": "Gates?", "content": None}),
    "tags": event(delta={"content": "<think>Gates?</think>"}),
    "parts": event(delta={"content": [{"type": "thinking", "thinking": []}]}),
}


@pytest.mark.parametrize("case", THINKS)
async def test_thinking_of_other_servers_is_hidden_too(case: str, tmp_path: Path) -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send(THINKS[case] + event(delta={"content": "It has seven gates [1]."}))
        await exchange.send(event(delta={}, finish_reason="stop") + "data: [DONE]\n\n")

    async with asking(chat, tmp_path, "openai") as (engine, _):
        answer = await ask(engine)
        stored = (await stored_messages(engine))[-1]
    assert answer.text == stored.content == "It has seven gates [1]."


@pytest.mark.parametrize("case", HIDDEN)
async def test_thinking_is_streamed_apart(case: str, tmp_path: Path) -> None:
    async def chat(exchange: Exchange) -> None:
        await HIDDEN[case](exchange)
        await exchange.lines(line("It has seven gates [1]."), line(done="stop"))

    progress = ClientProgress()
    async with asking(chat, tmp_path) as (engine, _):
        await ask(engine, progress)
    if case != "only its end is marked":
        assert progress.thought.startswith("Gates") and "ink>" not in progress.thought


THINKER = {**SHOWN, "capabilities": ["completion", "thinking"]}


async def test_a_model_that_only_thinks_is_asked_again_without(tmp_path: Path) -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        if exchange.body["think"]:
            await exchange.lines(*[line(thinking="hm ")] * 3000)
        await exchange.lines(line("It has seven gates [1]."), line(done="stop"))

    progress = ClientProgress()
    async with asking(chat, tmp_path, shown=THINKER) as (engine, wire):
        answer = await ask(engine, progress, think="on")
        with_thinking, without = wire.bodies("/api/chat")
        await ask(engine)
    assert answer.text == "It has seven gates [1]."
    assert progress.thought.startswith("hm hm") and "hm" not in answer.text
    assert (with_thinking["think"], without["think"]) == (True, False)
    assert wire.bodies("/api/chat")[-1]["think"] is False  # the default: answers begin at once
    # The thinking has tokens of its own.
    answered = without["options"]["num_predict"]
    assert with_thinking["options"]["num_predict"] >= answered + 1000
