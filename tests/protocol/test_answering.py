"""What the clients of each protocol see of an answer."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call, waiting
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.types import LOCAL, Message
from tests.ollama.wire import Exchange, Wire
from tests.protocol.asking import PROTOCOLS, Protocol, Seen, ask_over
from tests.unit.answering.test_ask import QUESTION as KERNOW
from tests.unit.answering.test_ask import SHOWN, ChatScript, asking, line, lines, status

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "How long is the glacier?"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_thinking_comes_apart_before_the_answer_and_can_be_switched_off(
    provider: EngineProvider, protocol: Protocol
) -> None:
    seen = await ask_over(protocol, provider, question=QUESTION, model="pensive")
    assert seen.said("text") == seen.answer["text"]
    assert "I was asked" not in seen.answer["text"]
    if protocol != "mcp":  # where everything that is said would be taken for the answer
        assert seen.said("thinking") == "I was asked something."
        assert seen.kinds.index("thinking") < seen.kinds.index("text")
    silent = await ask_over(protocol, provider, question=QUESTION, model="pensive", think="off")
    assert "thinking" not in silent.kinds and silent.answer["text"]
    refused = await ask_over(protocol, provider, question=QUESTION, think="hard")
    assert refused.failure["code"] == "invalid_argument"
    assert "think must be 'auto', 'on' or 'off'" in refused.failure["message"]


# --- a scripted model server ---------------------------------------------------------------------


@dataclass
class Scripted:
    """An engine that has indexed a text, whose model server runs the script of each test."""

    chat: ChatScript = field(default=lines())
    engine: Engine | None = None
    wire: Wire = field(default_factory=lambda: Wire(""))

    async def serve(self, exchange: Exchange) -> None:
        await self.chat(exchange)

    def use(self, chat: ChatScript) -> EngineProvider:
        self.chat = chat
        self.wire.seen.clear()

        async def ready() -> Engine:
            assert self.engine is not None
            return self.engine

        return ready


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scripted(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Scripted]:
    one = Scripted()
    async with asking(one.serve, tmp_path_factory.mktemp("kernow")) as (one.engine, one.wire):
        yield one


@asynccontextmanager
async def asked_server(
    chat: ChatScript, folder: Path, context: int = 8192
) -> AsyncGenerator[tuple[EngineProvider, Wire]]:
    shown = {**SHOWN, "model_info": {"llama.context_length": context}}
    async with asking(chat, folder, shown=shown) as (engine, wire):

        async def ready() -> Engine:
            return engine

        yield ready, wire


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_first_word_is_shown_while_the_model_still_writes(
    scripted: Scripted, protocol: Protocol
) -> None:
    read, first = asyncio.Event(), asyncio.Event()

    async def chat(exchange: Exchange) -> None:
        await read.wait()
        await exchange.begin()
        # Three tokens, with which a refusal could begin as well.
        await exchange.lines(line("According"), line(" to"), line(" the"))
        await first.wait()
        await exchange.lines(line(" text, seven gates [1]."), line(done="stop"))

    seen = Seen()

    def listen(kind: str) -> None:
        if kind == "status":
            read.set()
        if kind == "text":
            first.set()

    seen.listener = listen
    await ask_over(protocol, scripted.use(chat), seen, question=KERNOW)
    assert ("status", "Reading 1 passage") in seen.events
    assert [kind for kind in seen.kinds if kind != "sources"] == ["started", "status", "text"]
    assert seen.said("text") == seen.answer["text"] == "According to the text, seven gates [1]."


def says(*texts: str, done: str = "stop") -> ChatScript:
    return lines(*(line(text) for text in texts), line(done=done))


KINDS = {
    "rambles": (
        says("Seven gates [1]. ", *["And it is so, as one says. So it goes on. "] * 99),
        "cut_off", "repeated itself",
    ),
    "loops": (says("It has ", *["seven gates and "] * 300), "cut_off", "repeated itself"),
    "echoes the prompt": (
        says(f"Question: {KERNOW}\n\n", "Seven gates [1]."), "cited", None
    ),
    "answers in another language": (
        says("Der Leuchtturm hat sieben Tore [1]."), "uncited|cited", None
    ),
    "is cut off": (says("It has seven", done="length"), "cut_off", None),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_odd_answers_are_shown_once_and_marked(
    scripted: Scripted, kind: str, protocol: Protocol
) -> None:
    chat, grounding, notice = KINDS[kind]
    seen = await ask_over(protocol, scripted.use(chat), question=KERNOW)
    assert seen.said("text") == seen.answer["text"]
    assert len(seen.answer["text"]) < 1200
    assert seen.answer["grounding"] in grounding.split("|")
    assert notice is None or notice in seen.answer["notice"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_fence_of_the_prompt_is_not_shown(scripted: Scripted, protocol: Protocol) -> None:
    async def chat(exchange: Exchange) -> None:
        fence = re.search(r"<<source 1 .*>>", exchange.body["messages"][-1]["content"])
        assert fence is not None
        await says(f"{fence[0]}\n", "Seven gates [1].")(exchange)

    seen = await ask_over(protocol, scripted.use(chat), question=KERNOW)
    assert seen.said("text") == seen.answer["text"] == "Seven gates [1]."


async def crashes(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.lines(line("Seven gates"))
    exchange.reset()


BROKEN: dict[str, tuple[ChatScript, str]] = {
    "empty text": (says(""), "empty_answer"),
    "only a tool call": (
        lines(line(tool_calls=[{"function": {"name": "f"}}]), line(done="stop")), "empty_answer"
    ),
    "only thinking": (lines(line(thinking="hm"), line(done="stop")), "empty_answer"),
    "dies in the answer": (crashes, "answer_interrupted"),
    "busy": (status(503, {"error": "server busy"}), "provider_busy"),
    "only embeds": (status(400, {"error": '"m" does not support chat'}), "model_unsuitable"),
    "cannot think": (status(400, {"error": '"m" does not support thinking'}), "model_unsuitable"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_model_that_gives_no_answer_is_a_failure_with_its_reason(
    scripted: Scripted, kind: str, protocol: Protocol
) -> None:
    chat, code = BROKEN[kind]
    provider = scripted.use(chat)
    seen = await ask_over(protocol, provider, question=KERNOW)
    assert seen.failure["code"] == code and seen.failure["hint"]
    stored = [message.content for message in await latest_messages(provider)]
    assert stored == ([KERNOW, "Seven gates …"] if chat is crashes else [KERNOW])


async def latest_messages(provider: EngineProvider) -> list[Message]:
    call = Call(await provider(), LOCAL)
    page = await BY_NAME["conversations.list"](call, {})
    shown = await BY_NAME["conversations.show"](call, {"id": page.conversations[0].id})
    return shown.messages


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_client_that_leaves_before_the_first_word_stores_no_answer(
    scripted: Scripted, protocol: Protocol
) -> None:
    reached = asyncio.Event()

    async def chat(exchange: Exchange) -> None:
        reached.set()
        await asyncio.Event().wait()

    provider = scripted.use(chat)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(ask_over(protocol, provider, question=KERNOW))
        await reached.wait()
        asked.cancel()
    assert [message.content for message in await latest_messages(provider)] == [KERNOW]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_question_behind_another_says_what_it_waits_for(
    scripted: Scripted, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "NEXT_SECONDS", 0.01)
    told, first, seen = asyncio.Event(), asyncio.Event(), Seen()

    async def chat(exchange: Exchange) -> None:
        first.set()
        await told.wait()
        await says("Seven gates [1].")(exchange)

    def listen(_: str) -> None:
        if ("status", waiting.BEHIND_ANOTHER) in seen.events:
            told.set()

    seen.listener = listen
    provider = scripted.use(chat)
    async with asyncio.TaskGroup() as group:
        group.create_task(ask_over("shell", provider, question="Who built the lighthouse?"))
        await first.wait()
        await ask_over(protocol, provider, seen, question=KERNOW)
    assert seen.answer["text"] == "Seven gates [1]."


async def disconnects(exchange: Exchange) -> None:
    exchange.reset()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_that_dies_before_the_answer_leaves_the_passages(
    scripted: Scripted, protocol: Protocol
) -> None:
    seen = await ask_over(protocol, scripted.use(disconnects), question=KERNOW)
    assert seen.answer["mode"] == "passages_only" and "Ada Penrose" in str(seen.answer["citations"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_context_is_the_smallest_that_fits_and_does_not_shrink(
    protocol: Protocol, tmp_path: Path
) -> None:
    chat = says("It has seven gates, as the text says. " * 40 + "[1]")
    async with asked_server(chat, tmp_path, 32768) as (provider, wire):
        first = await ask_over(protocol, provider, question=KERNOW)
        again = {"conversation_id": first.answer["conversation_id"]}
        await ask_over(protocol, provider, question=f"{KERNOW} {'And why? ' * 900}", **again)
        await ask_over(protocol, provider, question=KERNOW, **again)
        await ask_over(protocol, provider, question=KERNOW)
        bodies = wire.bodies("/api/chat")
    sizes = [body["options"]["num_ctx"] for body in bodies]
    summaries = [i for i, body in enumerate(bodies) if "Sum up this" in str(body["messages"][-1])]
    # A question stops the summary of the conversation, which may have begun.
    assert [size for i, size in enumerate(sizes) if i not in summaries] == [4096, 8192, 8192, 4096]
    assert all(sizes[i] == 8192 for i in summaries)


@pytest.mark.parametrize(
    ("context", "protocol"), [(2048, "shell"), (4096, "shell"), (4096, "lsp"), (4096, "mcp")]
)
async def test_a_short_context_keeps_the_last_exchange(
    context: int, protocol: Protocol, tmp_path: Path
) -> None:
    said = "It has seven gates, which Ada Penrose built of oak [1]. " * 12
    chat = says(*re.findall(r"\S+\s*", said[:600]), "The end [1].")
    async with asked_server(chat, tmp_path, context) as (provider, wire):
        first = await ask_over(protocol, provider, question=KERNOW)
        conversation = first.answer["conversation_id"]
        await ask_over(
            protocol, provider, question="Which gate did Ada Penrose build last?",
            conversation_id=conversation,
        )  # fmt: skip
        body = wire.bodies("/api/chat")[-1]
    contents = [message["content"] for message in body["messages"]]
    assert contents[1:3] == [KERNOW, first.answer["text"]]
    assert "<<source 1" in contents[3]
    assert body["options"]["num_ctx"] == context


async def test_a_summary_is_made_after_the_answer(tmp_path: Path) -> None:
    summarized = asyncio.Event()

    async def chat(exchange: Exchange) -> None:
        if "Sum up this conversation" in exchange.body["messages"][-1]["content"]:
            await says("They spoke of gates.")(exchange)
            summarized.set()
        else:
            await says(*(f"Gate {n} is made of oak, says the text. " for n in range(30)))(exchange)

    async with asked_server(chat, tmp_path, 2048) as (provider, wire):
        first = await ask_over("shell", provider, question=KERNOW)
        again = {"conversation_id": first.answer["conversation_id"]}
        await ask_over("shell", provider, question=f"{KERNOW} Tell all.", **again)
        async with asyncio.timeout(20):
            await summarized.wait()
        before = len(wire.bodies("/api/chat"))
        catalog = (await provider()).catalog
        async with asyncio.timeout(20):
            while await catalog.summary(str(again["conversation_id"])) is None:
                pass
        await ask_over("shell", provider, question=f"{KERNOW} Once more.", **again)
        bodies = wire.bodies("/api/chat")
    assert "They spoke of gates." in bodies[before]["messages"][-1]["content"]


PARTS = "How many gates has the lighthouse of Kernow, who built it and what did the keeper eat?"


async def answers_parts(exchange: Exchange) -> None:
    asked = exchange.body["messages"][-1]["content"].rpartition("Question: ")[2]
    if asked.startswith("How many"):
        await says("It has seven gates [1].")(exchange)
    elif asked.startswith("who built"):
        await says("Ada Penrose built it.")(exchange)
    else:
        await says("The documents do not say this.")(exchange)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_deep_answer_treats_each_part_and_says_what_was_not_found(
    scripted: Scripted, protocol: Protocol
) -> None:
    seen = await ask_over(protocol, scripted.use(answers_parts), question=PARTS, deep=True)
    calls = len(scripted.wire.bodies("/api/chat"))
    assert seen.answer["text"] == (
        "It has seven gates [1].\n\nAda Penrose built it. [1]\n\n"
        "Not found in the documents: what did the keeper eat?"
    )
    assert seen.said("text") == seen.answer["text"]
    assert seen.answer["grounding"] == "cited" and len(seen.answer["citations"]) == 1
    assert calls == 3
    if protocol != "mcp":  # where statuses are sent ten times a second at most
        assert ("status", "Part 3 of 3: searching again") in seen.events


@pytest.mark.parametrize("second", ["Ada Penrose built it [1].", "The documents do not say this."])
async def test_a_part_that_was_answered_with_an_earlier_one_is_neither_missing_nor_repeated(
    scripted: Scripted, second: str
) -> None:
    async def chat(exchange: Exchange) -> None:
        asked = exchange.body["messages"][-1]["content"].rpartition("Question: ")[2]
        both = "It has seven gates [1]. Ada Penrose built the lighthouse of Kernow [1]."
        await says(second if asked.startswith("who built") else both)(exchange)

    question = "How many gates has the lighthouse of Kernow, and who built the lighthouse?"
    seen = await ask_over("shell", scripted.use(chat), question=question, deep=True)
    assert seen.answer["text"] == (
        "It has seven gates [1]. Ada Penrose built the lighthouse of Kernow [1]."
    )
    assert seen.answer["grounding"] == "cited"


async def test_a_deep_question_of_one_part_is_answered_as_usual(scripted: Scripted) -> None:
    async def chat(exchange: Exchange) -> None:
        if "Which separate questions" in exchange.body["messages"][-1]["content"]:
            await says("I cannot help with that.")(exchange)
        else:
            await says("It has seven gates [1].")(exchange)

    brief = KERNOW + " Say it briefly."
    seen = await ask_over("shell", scripted.use(chat), question=brief, deep=True)
    assert seen.answer["text"] == "It has seven gates [1]."


async def test_a_deep_answer_that_breaks_off_keeps_what_was_found(scripted: Scripted) -> None:
    async def chat(exchange: Exchange) -> None:
        if "Question: who built" in exchange.body["messages"][-1]["content"]:
            await crashes(exchange)
        else:
            await answers_parts(exchange)

    provider = scripted.use(chat)
    seen = await ask_over("shell", provider, question=PARTS, deep=True)
    stored = (await latest_messages(provider))[1]
    assert seen.failure["code"] == "answer_interrupted"
    assert (stored.content, stored.grounding) == ("It has seven gates [1]. …", "cut_off")


WORDS = [f"k{a}{b}" for a in "aeiouy" for b in "lmnrs"]


async def summarizes(exchange: Exchange) -> None:
    asked = exchange.body["messages"][-1]["content"]
    if "Name the main points" in asked:
        rules = re.findall(r"The rule (\w+) of the house", asked)
        await says(f"The rule {rules[0]} of the house is told [1].")(exchange)
    else:
        notes = re.findall(r"The rule \w+ of the house is told", asked)
        await says(*(f"{note} [{len(notes) - n}]. " for n, note in enumerate(notes)))(exchange)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_long_document_is_summarized_in_parts_with_sources(
    protocol: Protocol, tmp_path: Path
) -> None:
    async with asked_server(summarizes, tmp_path, 4096) as (provider, wire):
        manual = tmp_path / "docs" / "manual.md"
        parts = (f"## Part {n}\n\n" + f"The rule {WORDS[n]} of the house. " * 35 for n in range(30))
        manual.write_text("\n\n".join(parts))
        call = Call(await provider(), LOCAL)
        await BY_NAME["ingest"](call, {"paths": [str(manual.parent)]})
        seen = await ask_over(protocol, provider, question="Summarise manual.md")
        calls = len(wire.bodies("/api/chat"))
    cited = [c for c in seen.answer["citations"] if c["cited"]]
    assert 2 < len(cited) == calls - 1 <= 8
    for citation in cited:  # the passages themselves, not the model's notes
        assert "is told" not in citation["passage"]["text"]
    assert seen.said("text") == seen.answer["text"]
