"""Chat through any server that speaks OpenAI's API: llama.cpp, vLLM, LM Studio and others.

Such a server decides itself which models it has and how long their contexts are.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict

from pydantic import BaseModel, Field

from allma_server.config import Config
from allma_server.errors import AnswerInterrupted, ModelNotFound, Unsupported
from allma_server.http_client import ProviderClient, open_client, openai
from allma_server.model import ChatMessage, Finish, ModelInfo, PullProgress, TextDelta

FIRST_TOKEN_SECONDS = 600.0
NEXT_TOKEN_SECONDS = 120.0


class OpenAIChatModels:
    """The chat models of an OpenAI-compatible server."""

    def __init__(self, client: ProviderClient) -> None:
        self._client = client

    async def version(self) -> str:
        """The API tells no version: the server is asked for its models to see that it is there."""
        await self._client.call("GET", "models", _Models, seconds=5)
        return "openai-compatible"

    async def list(self) -> list[ModelInfo]:
        """All models the server offers, in its order."""
        models = await self._client.call("GET", "models", _Models)
        return [model.as_info() for model in models.data]

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
        options = {"max_tokens": max_tokens, "temperature": temperature}
        body = {
            "model": model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **{key: value for key, value in options.items() if value is not None},
        }
        lines = self._client.lines(
            "chat/completions",
            body,
            model=model,
            first=FIRST_TOKEN_SECONDS,
            between=NEXT_TOKEN_SECONDS,
        )
        reason, usage = None, _Usage()
        async with aclosing(lines):
            async for line in lines:
                event = self._said(line)
                usage = event.usage or usage
                for choice in event.choices:
                    reason = choice.finish_reason or reason
                    if choice.delta.content:
                        yield TextDelta(choice.delta.content)
        if reason is None:
            raise AnswerInterrupted(
                "The server ended the answer before it was complete.",
                "Ask again to have it repeated.",
            )
        # Usage comes after the reason, in an event of its own.
        reason = "length" if reason == "length" else "stop"
        yield Finish(reason, usage.prompt_tokens, usage.completion_tokens)

    def _said(self, line: str) -> "_Event":
        # Server-sent events: other fields than `data`, and comments, say nothing here.
        field, _, data = line.partition(":")
        if field != "data" or data.strip() == "[DONE]":
            return _Event()
        event = self._client.read(_Event, data)
        if event.error:
            raise AnswerInterrupted(
                f"The server broke off the answer: {event.error.message}.",
                "Ask again to have it repeated.",
            )
        return event

    async def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        """Raises Unsupported: the API has no downloads."""
        raise Unsupported(
            "An OpenAI-compatible server cannot be told to download models.",
            "Start it with the model, or set chat_provider to ollama.",
        )
        yield  # makes this a generator, as the port says

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


class _Meta(BaseModel):
    """What llama.cpp adds."""

    n_ctx: int | None = None
    size: int | None = None


class _Model(BaseModel):
    id: str
    max_model_len: int | None = None  # what vLLM adds
    meta: _Meta | None = None

    def as_info(self) -> ModelInfo:
        meta = self.meta or _Meta()
        return ModelInfo(
            name=self.id, size=meta.size, context_length=self.max_model_len or meta.n_ctx
        )


class _Models(BaseModel):
    data: list[_Model]


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta = Field(default_factory=_Delta)
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Error(BaseModel):
    message: str


class _Event(BaseModel):
    choices: list[_Choice] = Field(default_factory=list[_Choice])
    usage: _Usage | None = None
    error: _Error | None = None
