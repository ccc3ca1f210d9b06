"""Chat through any server that speaks OpenAI's API: llama.cpp, vLLM, LM Studio and others.

Such a server decides itself which models it has and how long their contexts are.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Any, cast

from httpx_sse import ServerSentEvent
from pydantic import BaseModel, Field
from pydantic_core import from_json

from allma_server.config import Config
from allma_server.errors import ModelNotFound, Unsupported
from allma_server.providers.chat.reply import Reply
from allma_server.providers.http import Count, ProviderClient, WireModel, open_client, openai
from allma_server.types import ChatMessage, Finish, ModelInfo, PullProgress, TextDelta

MOST_MODELS = 5000
LEAST_CONTEXT = 128

_THINKS = re.compile(r"(?:^|[-_/.:])(?:r1|qwq|think(?:ing)?|reason(?:ing|er)?)(?:$|[-_.:/])", re.I)
"""Names of models whose prompt begins their thinking: they only say where it ends."""


class OpenAIChatModels:
    """The chat models of an OpenAI-compatible server."""

    def __init__(self, client: ProviderClient) -> None:
        self._client = client
        self._thinks_unmarked: set[str] = set()

    async def version(self) -> str:
        """The API tells no version: the server is asked for its models to see that it is there."""
        await self._client.call("GET", "models", _Models, seconds=5)
        return "openai-compatible"

    async def list(self) -> list[ModelInfo]:
        """All models the server offers, in its order."""
        models = await self._client.call("GET", "models", _Models)
        return [model.as_info() for model in models.data or []]

    async def show(self, name: str) -> ModelInfo:
        """One model.

        Raises:
            ModelNotFound: the server does not offer it.
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
    ) -> AsyncGenerator[TextDelta | Finish]:
        """The answer as it is generated, then a Finish. `context_length` is the server's to set."""
        held = model in self._thinks_unmarked or _THINKS.search(model) is not None
        reply = Reply(self._client.provider.name, model, max_tokens, held=held)
        body = {
            "model": model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": reply.max_tokens,
            **({} if temperature is None else {"temperature": temperature}),
        }
        events = self._client.events(
            "chat/completions", body, model=model, listening=reply.listening
        )
        reason, usage = "", _Usage()
        async with aclosing(events):
            async for event in events:
                said = self._said(event, reply, model)
                usage = said.usage or usage
                for choice in said.choices:
                    reason = choice.finish_reason or reason
                    delta = choice.delta
                    for given in reply.add(delta.thoughts, thought=True):
                        yield given
                    for given in reply.add(_text(delta.content), tool=bool(delta.tool_calls)):
                        yield given
                # Usage comes after the reason, in an event of its own.
                if event.data.strip() == "[DONE]":
                    break
        if reply.thinks_unmarked:
            self._thinks_unmarked.add(model)
        if not reason:
            raise reply.cut_short()
        for end in reply.end(reason, usage.prompt_tokens, usage.completion_tokens):
            yield end

    def _said(self, event: ServerSentEvent, reply: Reply, model: str) -> "_Event":
        data = event.data.strip()
        if event.event == "error":
            raise self._client.broken_off(_error_in(data), model, begun=reply.begun)
        if data in ("", "[DONE]"):
            return _Event()
        said = self._client.read(_Event, data)
        if said.error:
            raise self._client.broken_off(said.error, model, begun=reply.begun)
        return said

    def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        """Raises Unsupported: the API has no downloads."""
        raise Unsupported(
            "An OpenAI-compatible server cannot be told to download models.",
            "Start it with the model, or set chat_provider to ollama.",
        )

    async def delete(self, name: str) -> None:
        """Raises Unsupported: the API cannot delete."""
        raise Unsupported("An OpenAI-compatible server cannot be told to delete models.")


@asynccontextmanager
async def open_openai(config: Config) -> AsyncGenerator[OpenAIChatModels]:
    """The server at `openai_url`, which need not be running yet.

    Raises:
        InvalidArgument: `openai_url` is not set.
    """
    async with open_client(openai(config)) as client:
        yield OpenAIChatModels(client)


# --- the wire -----------------------------------------------------------------------------------


class _Meta(WireModel):
    """What llama.cpp adds."""

    n_ctx: Count = None
    size: Count = None


class _Model(WireModel):
    id: str
    max_model_len: Count = None  # what vLLM adds
    meta: _Meta = Field(default_factory=_Meta)

    def as_info(self) -> ModelInfo:
        length = self.max_model_len or self.meta.n_ctx or 0
        # A length in which no answer has room is none.
        known = length if length >= LEAST_CONTEXT else None
        return ModelInfo(name=self.id, size=self.meta.size, context_length=known)


class _Models(BaseModel):
    data: list[_Model] | None = Field(max_length=MOST_MODELS)


class _Delta(WireModel):
    """A piece of a reply; servers differ in what they call a piece of thinking."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None

    @property
    def thoughts(self) -> str:
        return _text(self.reasoning_content) or _text(self.reasoning)


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


class _Part(WireModel):
    type: str = "text"
    text: str = ""


def _text(content: Any) -> str:
    """The text of a message, which some servers give in parts."""
    if isinstance(content, list):
        parts = [_Part.model_validate(p) for p in cast(list[Any], content) if isinstance(p, dict)]
        return "".join(part.text for part in parts if part.type == "text")
    return content if isinstance(content, str) else ""


def _error_in(data: str) -> Any:
    """What stands in an event of an error: JSON, or a sentence."""
    try:
        return from_json(data)
    except ValueError:
        return data
