import json

import pytest

from allma_server.config import Config
from allma_server.errors import (
    AnswerInterrupted,
    InputTooLong,
    InvalidArgument,
    ProviderError,
)
from allma_server.providers.chat.openai import open_openai
from allma_server.types import ChatMessage, Finish, ReplyEvent, TextDelta, ThoughtDelta
from tests.ollama.wire import Exchange, Wire, serving

QUESTION = [ChatMessage("user", "Why?")]


def said(text: str | None, reason: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


async def answer(wire: Wire) -> list[ReplyEvent]:
    async with open_openai(Config(openai_url=wire.url)) as chat:
        return [event async for event in chat.stream("m", QUESTION, max_tokens=5)]


async def test_empty_events_and_comments_are_skipped() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send(": keep-alive\n\n" + said(None) + said("Be") + ": again\n\n")
        await exchange.send("event: chunk\n" + said("cause") + said("", "length"))
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
        await exchange.send(f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n")

    async with serving(script) as wire:
        events = await answer(wire)
    assert events == [TextDelta("Be"), TextDelta("cause"), Finish("length", 7, 2)]
    body = wire.bodies("/chat/completions")[0]
    assert body["max_tokens"] == 5
    assert body["stream_options"] == {"include_usage": True}
    assert "temperature" not in body


async def test_an_answer_without_token_counts_ends() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send(said("Because") + said(None, "stop") + "data: [DONE]\n\n")

    async with serving(script) as wire:
        assert await answer(wire) == [TextDelta("Because"), Finish("stop")]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param('data: {"error": {"message": "out of memory"}}\n\n', id="error"),
        pytest.param("data: [DONE]\n\n", id="no reason"),
        pytest.param("", id="closed"),
    ],
)
async def test_an_answer_that_stops_early_is_interrupted(end: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send(said("Be") + end)

    async with serving(script) as wire:
        with pytest.raises(AnswerInterrupted):
            await answer(wire)


async def test_a_prompt_over_the_context_is_reported() -> None:
    async def script(exchange: Exchange) -> None:
        message = "request (6031 tokens) exceeds the available context size (2048 tokens)"
        await exchange.answer({"error": {"code": 400, "message": message}}, 400)

    async with serving(script) as wire:
        with pytest.raises(InputTooLong, match="6031 tokens"):
            await answer(wire)


async def test_the_context_length_of_vllm_and_llama_cpp_is_read() -> None:
    async def script(exchange: Exchange) -> None:
        data = [{"id": "v", "max_model_len": 32768}, {"id": "l", "meta": {"n_ctx": 4096}}]
        await exchange.answer({"data": [*data, {"id": "other"}]})

    async with serving(script) as wire, open_openai(Config(openai_url=wire.url)) as chat:
        assert [info.context_length for info in await chat.list()] == [32768, 4096, None]


async def test_a_missing_address_is_reported_with_the_setting() -> None:
    with pytest.raises(InvalidArgument, match="not set") as failed:
        async with open_openai(Config()):
            pass
    assert failed.value.hint and "openai_url" in failed.value.hint


ODD = {
    "nulls": '{"choices": null}',
    "no choices": '{"choices": []}',
    "no delta": '{"choices": [{"delta": null, "finish_reason": null}]}',
    "no content": '{"choices": [{"delta": {"content": null, "role": "assistant"}}]}',
    "odd counts": '{"choices": [], "usage": {"prompt_tokens": "many"}}',
    "null error": '{"choices": [], "error": null}',
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
async def test_events_without_content_are_skipped(case: str, end: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send(f"data: {ODD[case]}{end}" + said("Because") + f"data:{ODD[case]}{end}")
        await exchange.send(said("", "stop"))

    async with serving(script) as wire:
        assert await answer(wire) == [TextDelta("Because"), Finish("stop")]


@pytest.mark.parametrize("sign", ["\u0085", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1e"])
async def test_only_line_feeds_end_a_line(sign: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        choice = {"delta": {"content": f"Be{sign}cause"}, "finish_reason": "stop"}
        text = json.dumps({"choices": [choice]}, ensure_ascii=sign < " ")
        # The last event counts without its blank line too.
        await exchange.send(f"data: {text}")

    async with serving(script) as wire:
        assert await answer(wire) == [TextDelta(f"Be{sign}cause"), Finish("stop")]


ERRORS = {
    "a bare line": 'error: {"message": "out of memory", "code": 500}\n\n',
    "a bare sentence": "error: out of memory\n\n",
    "an event": 'event: error\ndata: {"error": {"message": "out of memory"}}\n\n',
    "an event with a sentence": "event: error\ndata: out of memory\n\n",
    "in the data": 'data: {"error": "out of memory"}\n\n',
    "nested": 'data: {"error": {"error": {"message": "out of memory"}}}\n\n',
    "JSON alone": '{"error": {"message": "out of memory"}}',
    "another framework's": 'data: {"error": {"detail": [{"msg": "out of memory"}]}}\n\n',
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("begun", [False, True])
async def test_an_error_is_reported_in_every_format(case: str, begun: bool) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send((said("Be") if begun else "") + ERRORS[case])

    async with serving(script) as wire:
        with pytest.raises(ProviderError, match="out of memory") as failed:
            await answer(wire)
    assert isinstance(failed.value, AnswerInterrupted) == begun


async def test_a_model_that_marks_only_the_end_of_thinking_is_remembered() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin("text/event-stream")
        await exchange.send(said("Hm. ") + said("</think>\n\n") + said("Seven.", "stop"))

    async with serving(script) as wire, open_openai(Config(openai_url=wire.url)) as chat:
        first = [e async for e in chat.stream("m", QUESTION)]
        second = [e async for e in chat.stream("m", QUESTION)]
        by_name = [e async for e in chat.stream("qwen3-4b-thinking-2507", QUESTION)]
    assert first[-1] == Finish("stop", text="Seven.")
    assert second == by_name == [ThoughtDelta("Hm. "), TextDelta("Seven."), Finish("stop")]
