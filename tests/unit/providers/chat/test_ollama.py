import asyncio
import gzip
import json
from collections.abc import Mapping
from contextlib import aclosing

import pytest

from allma_server.config import Config
from allma_server.errors import (
    AnswerInterrupted,
    InvalidArgument,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
    Unsupported,
)
from allma_server.providers.chat import reply
from allma_server.providers.chat.ollama import open_ollama
from allma_server.types import ChatMessage, Finish, ReplyEvent, TextDelta
from tests.ollama.wire import Exchange, Script, Wire, serving

SHOWN = {"capabilities": ["completion"], "model_info": {"llama.context_length": 8192}}
QUESTION = [ChatMessage("user", "Why?")]


def said(text: str) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": text}, "done": False}


END = {"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}


def scripted(chat: Script, shown: Mapping[str, object] = SHOWN) -> Script:
    """A server that shows its model, and chats as `chat` says."""

    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/show":
            await exchange.answer(shown)
        else:
            await chat(exchange)

    return script


async def sound(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.lines(said("42"), END)


async def answer(wire: Wire, **options: float) -> list[ReplyEvent]:
    async with open_ollama(Config(ollama_url=wire.url)) as chat:
        return [event async for event in chat.stream("m", QUESTION, **options)]  # type: ignore[arg-type]


async def interrupted(wire: Wire) -> tuple[str, ProviderError]:
    """What was said before the answer failed, and how it failed."""
    text = ""
    async with open_ollama(Config(ollama_url=wire.url)) as chat:
        try:
            async for event in chat.stream("m", QUESTION):
                text += event.text if isinstance(event, TextDelta) else "(end)"
                wire.received.set()
        except ProviderError as exc:
            return text, exc
    raise AssertionError(f"it did not fail after {text!r}")


async def test_options_are_passed_on_and_unset_ones_are_omitted() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(said("Be"), said("cause"), END)

    async with serving(scripted(chat)) as wire:
        events = await answer(wire, context_length=2048, max_tokens=9, temperature=0.1)
        assert events == [TextDelta("Be"), TextDelta("cause"), Finish("stop", None, 2)]
        await answer(wire)
    full, bare = wire.bodies("/api/chat")
    assert full["options"] == {"num_ctx": 2048, "num_predict": 9, "temperature": 0.1}
    assert bare["options"] == {"num_predict": reply.DEFAULT_MAX_TOKENS}
    assert "think" not in full and "keep_alive" not in full


async def test_a_thinking_model_is_asked_not_to_think() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(said("42"), END)

    shown = {"capabilities": ["completion", "thinking"]}
    async with serving(scripted(chat, shown)) as wire:
        await answer(wire)
    assert wire.bodies("/api/chat")[0]["think"] is False


@pytest.mark.parametrize(
    "body",
    [{"message": {"content": "Yes"}, "done": True}, {"logprobs": [{"token": "Yes"}], "done": True}],
)
async def test_a_server_without_probabilities_does_not_support_them(body: object) -> None:
    async with (
        serving(scripted(lambda exchange: exchange.answer(body))) as wire,
        open_ollama(Config(ollama_url=wire.url)) as chat,
    ):
        with pytest.raises(Unsupported, match="does not report the probabilities"):
            await chat.next_token("m", QUESTION)
    sent = wire.bodies("/api/chat")[0]
    assert (sent["logprobs"], sent["stream"]) == (True, False)
    assert sent["options"]["num_predict"] == 1


async def test_an_error_in_the_middle_of_an_answer_interrupts_it() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(said("Be"), {"error": "llama runner terminated"})

    async with serving(scripted(chat)) as wire:
        text, error = await interrupted(wire)
    assert text == "Be"
    assert isinstance(error, AnswerInterrupted)
    assert "llama runner terminated" in error.message


async def test_a_lost_connection_in_the_middle_interrupts_the_answer() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(said("Be"))
        await wire.received.wait()
        exchange.reset()

    async with serving(scripted(chat)) as wire:
        text, error = await interrupted(wire)
    assert text == "Be"
    assert isinstance(error, AnswerInterrupted)


async def test_an_answer_without_a_final_event_is_interrupted() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(said("Be"))

    async with serving(scripted(chat)) as wire:
        text, error = await interrupted(wire)
    assert text == "Be"
    assert isinstance(error, AnswerInterrupted)


async def test_silence_between_tokens_has_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines(said("Be"))
        await asyncio.Event().wait()

    monkeypatch.setattr(reply, "NEXT_TOKEN_SECONDS", 0.1)
    async with serving(scripted(chat)) as wire:
        text, error = await interrupted(wire)
    assert text == "Be"
    assert isinstance(error, AnswerInterrupted)


async def test_silence_before_the_first_token_has_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def chat(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(reply, "FIRST_TOKEN_SECONDS", 0.1)
    async with serving(scripted(chat)) as wire:
        _, error = await interrupted(wire)
    assert isinstance(error, ProviderUnreachable)


async def test_a_connection_lost_before_the_answer_is_an_unreachable_server() -> None:
    async def chat(exchange: Exchange) -> None:
        exchange.reset()

    async with serving(scripted(chat)) as wire:
        _, error = await interrupted(wire)
    assert isinstance(error, ProviderUnreachable)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "model 'm' not found", ModelNotFound),
        (400, '"m" does not support chat', ModelUnsuitable),
        (503, "server busy, please try again.  maximum pending requests exceeded", ProviderBusy),
        (500, "llama-server process has terminated: signal: killed", ProviderError),
    ],
)
async def test_an_error_response_is_mapped_by_its_reason(
    status: int, reason: str, kind: type[ProviderError]
) -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.answer({"error": reason}, status)

    async with serving(scripted(chat)) as wire:
        _, error = await interrupted(wire)
    assert type(error) is kind
    assert error.hint


async def test_a_missing_model_is_reported_with_the_pull_command() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"error": "model 'm' not found"}, 404)

    async with serving(script) as wire:
        _, error = await interrupted(wire)
    assert error.hint and "`allma models pull m`" in error.hint


async def test_a_refused_connection_says_how_to_start_ollama(unused_url: str) -> None:
    async with open_ollama(Config(ollama_url=unused_url)) as chat:
        with pytest.raises(ProviderUnreachable, match=f"not running at {unused_url}") as failed:
            await chat.version()
    assert failed.value.hint and "ollama serve" in failed.value.hint


async def test_another_kind_of_server_is_reported() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer("<html>router login</html>", kind="text/html")

    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        with pytest.raises(ProviderError, match="unexpected response"):
            await chat.list()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://[::1", "http://a:port"])
async def test_an_invalid_address_is_reported_at_opening(url: str) -> None:
    with pytest.raises(InvalidArgument, match="not the address"):
        async with open_ollama(Config(ollama_url=url)):
            pass


async def test_a_proxy_gets_no_requests_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, unused_url: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"version": "0.33.0"})

    monkeypatch.setenv("HTTP_PROXY", unused_url)
    monkeypatch.setenv("ALL_PROXY", unused_url)
    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        assert await chat.version() == "0.33.0"


async def test_a_model_s_description_is_cached_until_a_pull() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        if exchange.path == "/api/pull":
            await exchange.lines({"status": "success"})
        else:
            await exchange.lines(said("42"), END)

    async with serving(scripted(chat)) as wire, open_ollama(Config(ollama_url=wire.url)) as models:
        for _ in range(2):
            async with aclosing(models.stream("m", QUESTION)) as events:
                assert [event async for event in events]
        assert len(wire.bodies("/api/show")) == 1
        assert [step.status async for step in models.pull("m")] == ["success"]
        assert (await models.show("m")).context_length == 8192
        assert len(wire.bodies("/api/show")) == 2


async def test_the_list_of_an_older_server_is_completed_from_each_model() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/tags":
            new = {"capabilities": ["embedding"], "details": {"context_length": 512}}
            entries = [{"name": "old", "size": 7}, {"name": "new", **new}, {"name": "broken"}]
            await exchange.answer({"models": entries})
        elif exchange.body == {"model": "old"}:
            await exchange.answer(SHOWN)
        else:
            await exchange.answer({"error": "blob is missing"}, 500)

    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        old, new, broken = await chat.list()
    assert (old.size, old.context_length, old.capabilities) == (7, 8192, ["completion"])
    assert (new.context_length, new.capabilities) == (512, ["embedding"])
    assert (broken.context_length, broken.capabilities) == (None, [])


@pytest.mark.parametrize(
    ("reason", "kind", "hint"),
    [
        ("pull model manifest: file does not exist", ModelNotFound, "ollama.com/library"),
        ('Get "https://registry": dial tcp: lookup r: no such host', ProviderError, "internet"),
    ],
)
async def test_a_pull_that_fails_says_why(
    reason: str, kind: type[ProviderError], hint: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines({"status": "pulling manifest"}, {"error": reason})

    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        with pytest.raises(kind) as failed:
            async for _ in chat.pull("m"):
                pass
    assert failed.value.hint and hint in failed.value.hint


@pytest.mark.parametrize("end", ["lost", "closed"])
async def test_an_interrupted_pull_is_an_error(end: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.lines({"status": "pulling manifest"})
        await wire.received.wait()
        if end == "lost":
            exchange.reset()

    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        with pytest.raises(ProviderError) as failed:
            async for _ in chat.pull("m"):
                wire.received.set()
    assert type(failed.value) is ProviderError


async def test_the_context_length_reaches_ollama_and_a_cut_prompt_shows_in_its_counts(
    ollama: str,
) -> None:
    long = [ChatMessage("user", "Count from one to ten. " * 40)]
    async with open_ollama(Config(ollama_url=ollama)) as chat:
        counts: list[int | None] = []
        for length in (128, 512):
            stream = chat.stream("smollm2:135m", long, context_length=length, max_tokens=9)
            async with aclosing(stream) as events:
                counts += [e.prompt_tokens async for e in events if isinstance(e, Finish)]
    small, large = counts
    assert small and large
    assert small < 128 < 150 <= large


@pytest.mark.parametrize("sign", ["\u0085", "\u2028", "\u2029"])
async def test_only_line_feeds_end_a_line(sign: str) -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(json.dumps(said(f"Be{sign}cause"), ensure_ascii=False) + "\r\n\n")
        await exchange.lines(END)

    async with serving(scripted(chat)) as wire:
        assert await answer(wire) == [TextDelta(f"Be{sign}cause"), Finish("stop", None, 2)]


async def test_null_is_the_same_as_absent() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin()
        nothing = {"message": None, "done": None, "error": None}
        await exchange.lines(nothing, {"message": {"content": None}, "done": False}, said("42"))
        await exchange.lines({"message": None, "done": True, "done_reason": None})

    shown = {"capabilities": None, "model_info": None, "details": None}
    async with serving(scripted(chat, shown)) as wire:
        assert await answer(wire) == [TextDelta("42"), Finish("stop")]


@pytest.mark.parametrize("length", ["long", -1, 0, 7, 1.5, None, True, 10**30])
async def test_an_invalid_context_length_is_ignored(length: object) -> None:
    shown = {"capabilities": ["completion"], "model_info": {"llama.context_length": length}}
    async with serving(scripted(sound, shown)) as wire:
        async with open_ollama(Config(ollama_url=wire.url)) as chat:
            assert (await chat.show("m")).context_length is None


async def test_a_server_without_models_lists_none() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"models": None})

    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        assert await chat.list() == []


async def test_a_compressed_response_is_decompressed() -> None:
    async def script(exchange: Exchange) -> None:
        content = gzip.compress(b'{"version": "1"}')
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(content)}"
        exchange.writer.write(f"{head}\r\n\r\n".encode() + content)

    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        assert await chat.version() == "1"
    assert wire.seen[0].headers["accept-encoding"] == "identity"


async def test_a_path_in_the_address_is_kept_and_a_password_is_used_but_not_shown() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"version": "1"}, 200 if len(wire.seen) == 1 else 500)

    async with serving(script) as wire:
        address = wire.url.replace("http://", "http://ada:s3cret@") + "/ollama/"
        async with open_ollama(Config(ollama_url=address)) as chat:
            assert await chat.version() == "1"
            with pytest.raises(ProviderError) as failed:
                await chat.version()
    assert wire.seen[0].path == "/ollama/api/version"
    assert wire.seen[0].headers["authorization"].startswith("Basic ")
    assert "s3cret" not in str(failed.value)
