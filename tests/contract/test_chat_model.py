"""The contract of every provider of chat models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import httpx
import pytest

from allma_server.config import Config
from allma_server.errors import InvalidArgument, ModelNotFound, ModelUnsuitable, Unsupported
from allma_server.ports import ChatModels
from allma_server.providers.chat import CHAT_MODELS, open_chat_models
from allma_server.providers.chat.scripted import ScriptedChatModels
from allma_server.types import ChatMessage, Finish, TextDelta


@dataclass(frozen=True, slots=True)
class Case:
    """A provider, and which of its models does what."""

    chat: ChatModels
    ollama: str
    model: str
    endless: str
    embedding: str
    pulled: str | None
    stopped_before: int

    async def stopped(self) -> None:
        """Return when nothing is generated any more."""
        if isinstance(self.chat, ScriptedChatModels):
            assert self.chat.generating == 0
            return
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.ollama}/test/idle", timeout=10)
        assert answer.json()["stopped"] > self.stopped_before


MODELS = {
    "ollama": ("smollm2:135m", "smollm2:135m", "all-minilm", "smollm2:135m-instruct-q4_1"),
    "openai": ("smollm2:135m", "smollm2:135m", "all-minilm", None),
    "scripted": ("echo", "slow", "vector", "echo"),
}


@pytest.fixture(params=CHAT_MODELS)
async def case(request: pytest.FixtureRequest, ollama: str) -> AsyncIterator[Case]:
    config = Config(chat_provider=request.param, ollama_url=ollama, openai_url=f"{ollama}/v1")
    async with httpx.AsyncClient(trust_env=False) as client:
        before = (await client.get(f"{ollama}/test/active")).json()["stopped"]
    async with open_chat_models(config) as chat:
        yield Case(chat, ollama, *MODELS[request.param], before)


def ask(text: str) -> list[ChatMessage]:
    return [ChatMessage("system", "Answer in a few words."), ChatMessage("user", text)]


async def read(
    case: Case, messages: list[ChatMessage], *, max_tokens: int = 8
) -> tuple[str, Finish]:
    text, finish = "", None
    stream = case.chat.stream(
        case.model, messages, context_length=4096, max_tokens=max_tokens, temperature=0
    )
    async with aclosing(stream) as events:
        async for event in events:
            assert finish is None, "something came after the end"
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Finish):
                finish = event
    assert finish is not None
    return text, finish


async def test_an_answer_is_text_and_one_final_event_with_counts(case: Case) -> None:
    text, finish = await read(case, ask("What colour is the sky?"))
    assert text.strip()
    assert finish.reason in ("stop", "length")
    assert finish.prompt_tokens and finish.prompt_tokens > 5
    assert finish.answer_tokens and 1 <= finish.answer_tokens <= 8


async def test_the_first_token_comes_with_its_probabilities(case: Case) -> None:
    question = ask("Is the sky blue? Answer with yes or no.")
    tokens = await case.chat.next_token(case.model, question, context_length=4096)
    assert 1 <= len(tokens) <= 20
    assert 0.05 < sum(tokens.values()) < 1.01
    likeliest = max(tokens, key=lambda token: tokens[token])
    text, _ = await read(case, question)
    assert text.startswith(likeliest.strip())


async def test_an_answer_ends_at_the_token_limit(case: Case) -> None:
    _, finish = await read(case, ask("Count from one to one hundred."), max_tokens=3)
    assert (finish.reason, finish.answer_tokens) == ("length", 3)


async def test_at_temperature_zero_an_answer_is_repeated(case: Case) -> None:
    question = ask("Name a fruit.")
    assert (await read(case, question))[0] == (await read(case, question))[0]


async def test_a_conversation_can_contain_earlier_messages_and_unusual_characters(
    case: Case,
) -> None:
    earlier = [
        ChatMessage("system", "You are brief."),
        ChatMessage("user", "Hello \ud83d half an emoji"),
        ChatMessage("assistant", "Hello! 🙂"),
        ChatMessage("user", "Say hello again."),
    ]
    assert (await read(case, earlier))[0].strip()


@pytest.mark.invariant(11)
async def test_closing_an_answer_stops_its_generation(case: Case) -> None:
    stream = case.chat.stream(case.endless, ask("Tell a very long story."), max_tokens=3000)
    async with asyncio.timeout(20):
        await anext(stream)
        await stream.aclose()
        await case.stopped()


@pytest.mark.invariant(11)
async def test_cancelling_the_reader_stops_the_generation(case: Case) -> None:
    begun = asyncio.Event()

    async def listen() -> None:
        stream = case.chat.stream(case.endless, ask("Tell a long story."), max_tokens=3000)
        async with aclosing(stream) as events:
            async for _ in events:
                begun.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        listener = group.create_task(listen())
        await begun.wait()
        listener.cancel()
    await case.stopped()


async def test_a_model_that_does_not_exist_is_named_in_the_error(case: Case) -> None:
    with pytest.raises(ModelNotFound, match="no-such-model"):
        await case.chat.show("no-such-model")
    with pytest.raises(ModelNotFound, match="no-such-model"):
        await anext(case.chat.stream("no-such-model", ask("Hello")))
    with pytest.raises(ModelNotFound, match="no-such-model"):
        await case.chat.next_token("no-such-model", ask("Hello"))


async def test_an_embedding_model_is_not_asked_to_chat(case: Case) -> None:
    with pytest.raises(ModelUnsuitable, match=case.embedding):
        await anext(case.chat.stream(case.embedding, ask("Hello")))
    with pytest.raises(ModelUnsuitable, match=case.embedding):
        await case.chat.next_token(case.embedding, ask("Hello"))


async def test_each_listed_model_can_be_shown(case: Case) -> None:
    listed = {info.name: info for info in await case.chat.list()}
    assert case.model in listed
    assert (await case.chat.show(case.model)).name == case.model
    assert await case.chat.version()


async def test_a_model_is_pulled_with_progress_and_deleted(case: Case) -> None:
    if case.pulled is None:
        with pytest.raises(Unsupported):
            await anext(case.chat.pull("anything"))
        with pytest.raises(Unsupported):
            await case.chat.delete("anything")
        return
    steps = [step async for step in case.chat.pull(case.pulled)]
    assert steps[-1].status == "success"
    assert any(step.total and step.completed == step.total for step in steps)
    assert case.pulled in [info.name for info in await case.chat.list()]
    await case.chat.show(case.pulled)
    await case.chat.delete(case.pulled)
    assert case.pulled not in [info.name for info in await case.chat.list()]
    with pytest.raises(ModelNotFound):
        await case.chat.show(case.pulled)


async def test_an_unknown_model_is_neither_pulled_nor_deleted(case: Case) -> None:
    with pytest.raises((ModelNotFound, Unsupported)):
        async for _ in case.chat.pull("no-such-model"):
            pass
    with pytest.raises((ModelNotFound, Unsupported)):
        await case.chat.delete("no-such-model")


def test_an_unknown_provider_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match="ollama, openai, scripted"):
        open_chat_models(Config(chat_provider="claude"))
