"""Chat with any OpenAI-compatible server: llama.cpp, vLLM, LM Studio and others.

The server decides which models it offers and how long their contexts are.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, cast

from httpx_sse import ServerSentEvent
from pydantic import BaseModel, Field
from pydantic_core import from_json

from allma_server.config import Config
from allma_server.errors import ModelNotFound, Unsupported
from allma_server.providers.chat.probabilities import TOP_TOKENS, TokenLogprobs, first_token
from allma_server.providers.chat.reply import FIRST_TOKEN_SECONDS, Reply
from allma_server.providers.http import Count, ProviderClient, WireModel, open_client, openai
from allma_server.types import ChatMessage, ModelInfo, PullProgress, ReplyEvent, Think

MAX_MODELS = 5000
MIN_CONTEXT = 128

_REASONING_MODEL = re.compile(
    r"(?:^|[-_/.:])(?:r1|qwq|think(?:ing)?|reason(?:ing|er)?)(?:$|[-_.:/])", re.I
)
"""Names of models whose chat template opens the thinking, so that they only mark its end."""


class OpenAIChatModels:
    """The chat models of an OpenAI-compatible server."""

    def __init__(self, client: ProviderClient) -> None:
        self._client = client
        self._thinks_unmarked: set[str] = set()

    async def version(self) -> str:
        """Return a constant, as the API has no version; shows that the server answers."""
        await self._client.call("GET", "models", _Models, seconds=5)
        return "openai-compatible"

    async def list(self) -> list[ModelInfo]:
        """Return all models of the server, in its order."""
        models = await self._client.call("GET", "models", _Models)
        return [self._with_thinking(model.as_info()) for model in models.data or []]

    def _with_thinking(self, info: ModelInfo) -> ModelInfo:
        """Add the capabilities of a model that is known to think; the API has none."""
        if not self._starts_thinking(info.name):
            return info
        return replace(info, capabilities=["completion", "thinking"])

    def _starts_thinking(self, model: str) -> bool:
        return model in self._thinks_unmarked or _REASONING_MODEL.search(model) is not None

    async def show(self, name: str) -> ModelInfo:
        """Return one model.

        Raises:
            ModelNotFound: the server does not have it.
        """
        for info in await self.list():
            if info.name == name:
                return info
        provider = self._client.provider
        raise ModelNotFound(f"{provider.name} does not have the model {name}.", provider.if_missing)

    async def stream(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        *,
        context_length: int | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        think: Think = "auto",
        max_thinking: int = 0,
    ) -> AsyncGenerator[ReplyEvent]:
        """Yield the reply as it is generated, then a Finish; the server sets `context_length`.

        `think` is passed on as llama.cpp, vLLM and SGLang take it, unless it is `auto`.
        """
        held, name = think != "off" and self._starts_thinking(model), self._client.provider.name
        reply = Reply(name, model, max_tokens, max_thinking=max_thinking, starts_thinking=held)
        switch = {"chat_template_kwargs": {"enable_thinking": think == "on"}}
        body = {
            "model": model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": reply.max_tokens,
            **({} if temperature is None else {"temperature": temperature}),
            **({} if think == "auto" else switch),
        }
        events = self._client.events("chat/completions", body, model=model, timeouts=reply.timeouts)
        reason, usage = "", _Usage()
        async with aclosing(events):
            async for event in events:
                data = self._parse(event, reply, model)
                usage = data.usage or usage
                for choice in data.choices:
                    reason = choice.finish_reason or reason
                    for shown in choice.delta.add_to(reply):
                        yield shown
                # The usage follows the reason, in a separate event.
                if event.data.strip() == "[DONE]":
                    break
        if reply.thinks_unmarked:
            self._thinks_unmarked.add(model)
        if not reason:
            raise reply.interrupted()
        for end in reply.end(reason, usage.prompt_tokens, usage.completion_tokens):
            yield end

    async def next_token(
        self, model: str, messages: Sequence[ChatMessage], *, context_length: int | None = None
    ) -> Mapping[str, float]:
        """Return the likeliest first tokens of a reply with their probabilities.

        Raises:
            Unsupported: the server reports none, or the model begins each reply by thinking.
        """
        body = {
            "model": model,
            "messages": [asdict(message) for message in messages],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": TOP_TOKENS,
        }
        answer = await self._client.call(
            "POST", "chat/completions", _OneToken, body, model=model, seconds=FIRST_TOKEN_SECONDS
        )
        if answer.error:
            raise self._client.stream_error(answer.error, model, has_begun=False)
        tokens = [token for choice in answer.choices for token in choice.logprobs.content]
        return first_token(tokens, self._client.provider.name)

    def _parse(self, event: ServerSentEvent, reply: Reply, model: str) -> "_Event":
        data = event.data.strip()
        if event.event == "error":
            raise self._client.stream_error(_error_in(data), model, has_begun=reply.has_begun)
        if data in ("", "[DONE]"):
            return _Event()
        parsed = self._client.parse(_Event, data)
        if parsed.error:
            raise self._client.stream_error(parsed.error, model, has_begun=reply.has_begun)
        return parsed

    def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        """Raise Unsupported, as the API has no downloads."""
        raise Unsupported(
            "An OpenAI-compatible server cannot download models.",
            "Start it with the model, or set chat_provider to ollama.",
        )

    async def delete(self, name: str) -> None:
        """Raise Unsupported, as the API cannot delete."""
        raise Unsupported("An OpenAI-compatible server cannot delete models.")


@asynccontextmanager
async def open_openai(config: Config) -> AsyncGenerator[OpenAIChatModels]:
    """Open the server at `openai_url`; it need not be running yet.

    Raises:
        InvalidArgument: `openai_url` is not set.
    """
    async with open_client(openai(config)) as client:
        yield OpenAIChatModels(client)


# --- JSON of the API ----------------------------------------------------------------------------


class _Meta(WireModel):
    """An extension of llama.cpp."""

    n_ctx: Count = None
    size: Count = None


class _Model(WireModel):
    id: str
    max_model_len: Count = None  # an extension of vLLM
    meta: _Meta = Field(default_factory=_Meta)

    def as_info(self) -> ModelInfo:
        length = self.max_model_len or self.meta.n_ctx or 0
        # A length that leaves no room for an answer is treated as unknown.
        known = length if length >= MIN_CONTEXT else None
        return ModelInfo(name=self.id, size=self.meta.size, context_length=known)


class _Models(BaseModel):
    data: list[_Model] | None = Field(max_length=MAX_MODELS)


class _Delta(WireModel):
    """A piece of a reply; servers use different names for thinking."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None

    def add_to(self, reply: Reply) -> Iterator[ReplyEvent]:
        """Add the piece to a reply and yield what it has of thinking and answer."""
        thoughts = _text(self.reasoning_content) or _text(self.reasoning)
        yield from reply.add(thoughts, thought=True)
        yield from reply.add(_text(self.content), tool=bool(self.tool_calls))


class _Choice(WireModel):
    delta: _Delta = Field(default_factory=_Delta)
    finish_reason: str = ""


class _Usage(WireModel):
    prompt_tokens: Count = None
    completion_tokens: Count = None


class _Event(WireModel):
    choices: list[_Choice] = Field(default_factory=list[_Choice])
    usage: _Usage | None = None
    error: Any = None


class _Logprobs(WireModel):
    content: list[TokenLogprobs] = Field(default_factory=list[TokenLogprobs], max_length=8)


class _OneTokenChoice(WireModel):
    logprobs: _Logprobs = Field(default_factory=_Logprobs)


class _OneToken(WireModel):
    choices: list[_OneTokenChoice] = Field(default_factory=list[_OneTokenChoice], max_length=8)
    error: Any = None


class _Part(WireModel):
    type: str = "text"
    text: str = ""


def _text(content: Any) -> str:
    """Return the text of a message, which some servers send as a list of parts."""
    if isinstance(content, list):
        parts = [_Part.model_validate(p) for p in cast(list[Any], content) if isinstance(p, dict)]
        return "".join(part.text for part in parts if part.type == "text")
    return content if isinstance(content, str) else ""


def _error_in(data: str) -> Any:
    """Return the content of an error event: JSON, or else the text."""
    try:
        return from_json(data)
    except ValueError:
        return data
