"""Chat with Ollama's own API: models, streamed answers, downloads.

The API: https://github.com/ollama/ollama/blob/main/docs/api.md. How long a model stays loaded
(`keep_alive`) is not set, because the user may have configured it in Ollama.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel, Field

from allma_server.config import Config
from allma_server.errors import ModelNotFound, ModelUnsuitable, ProviderError
from allma_server.providers.chat.probabilities import TOP_TOKENS, TokenLogprobs, first_token
from allma_server.providers.chat.reply import FIRST_TOKEN_SECONDS, Reply
from allma_server.providers.http import (
    Count,
    ProviderClient,
    StreamTimeouts,
    WireModel,
    known_count,
    ollama,
    one_line,
    open_client,
)
from allma_server.types import ChatMessage, ModelInfo, PullProgress, ReplyEvent, Think

LIST_SECONDS = 30.0
CONCURRENT_SHOWS = 8
PULL_SECONDS = 900.0
"""Without progress: Ollama reports none while it verifies a download of many gigabytes."""
DOWNLOAD_SECONDS = 7 * 24 * 3600.0
SHOW_CACHE_SECONDS = 300.0
MAX_MODELS = 5000
MIN_CONTEXT = 128


class OllamaChatModels:
    """The chat models of an Ollama server.

    The results of `show` are cached for five minutes, as every answer needs one.
    """

    def __init__(self, client: ProviderClient) -> None:
        self._client = client
        self._shown: dict[str, _Shown] = {}

    async def version(self) -> str:
        """Return Ollama's version; this also shows that it answers."""
        return (await self._client.call("GET", "/api/version", _Version, seconds=5)).version

    async def list(self) -> list[ModelInfo]:
        """Return all models of Ollama, newest first, including embedding models."""
        tags = await self._client.call("GET", "/api/tags", _Tags)
        listed = [entry.as_info(entry.name) for entry in tags.models or []]
        limit = asyncio.Semaphore(CONCURRENT_SHOWS)

        async def complete(at: int, info: ModelInfo) -> None:
            async with limit:
                listed[at] = await self._complete_info(info)

        with suppress(TimeoutError):  # return what is known by then
            async with asyncio.timeout(LIST_SECONDS), asyncio.TaskGroup() as group:
                for at, info in enumerate(listed):
                    group.create_task(complete(at, info))
        return listed

    async def show(self, name: str) -> ModelInfo:
        """Return one model with all details.

        Raises:
            ModelNotFound: Ollama does not have it.
        """
        known = self._shown.get(name)
        if known is None or known.until < time.monotonic():
            answer = await self._client.call(
                "POST", "/api/show", _Model, {"model": name}, model=name
            )
            known = _Shown(answer.as_info(name), time.monotonic() + SHOW_CACHE_SECONDS)
            self._shown[name] = known
        return known.info

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
        """Yield the reply as it is generated, then a Finish; some models think in any case."""
        capabilities = await self._chat_capabilities(model)
        reply = Reply(self._client.provider.name, model, max_tokens, max_thinking=max_thinking)
        options = {
            "num_ctx": context_length,
            "num_predict": reply.max_tokens,
            "temperature": temperature,
        }
        body = {
            "model": model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            "options": {key: value for key, value in options.items() if value is not None},
            **({"think": think == "on"} if "thinking" in capabilities else {}),
        }
        lines = self._client.lines("/api/chat", body, model=model, timeouts=reply.timeouts)
        async with aclosing(lines):
            async for line in lines:
                data = self._client.parse(_ChatLine, line)
                if data.error:
                    raise self._client.stream_error(data.error, model, has_begun=reply.has_begun)
                message = data.message
                for delta in reply.add(message.thinking, thought=True):
                    yield delta
                for delta in reply.add(message.content, tool=bool(message.tool_calls)):
                    yield delta
                if data.done:
                    for event in reply.end(
                        data.done_reason, data.prompt_eval_count, data.eval_count
                    ):
                        yield event
                    return
        raise reply.interrupted()

    async def next_token(
        self, model: str, messages: Sequence[ChatMessage], *, context_length: int | None = None
    ) -> Mapping[str, float]:
        """Return the likeliest first tokens of a reply with their probabilities.

        Raises:
            Unsupported: the server is older than 0.12.11, which reported the first ones.
        """
        capabilities = await self._chat_capabilities(model)
        options = {"num_ctx": context_length, "num_predict": 1, "temperature": 0.0}
        body = {
            "model": model,
            "messages": [asdict(message) for message in messages],
            "stream": False,
            "logprobs": True,
            "top_logprobs": TOP_TOKENS,
            "options": {key: value for key, value in options.items() if value is not None},
            **({"think": False} if "thinking" in capabilities else {}),
        }
        answer = await self._client.call(
            "POST", "/api/chat", _OneToken, body, model=model, seconds=FIRST_TOKEN_SECONDS
        )
        if answer.error:
            raise self._client.stream_error(answer.error, model, has_begun=False)
        return first_token(answer.logprobs, self._client.provider.name)

    async def _chat_capabilities(self, model: str) -> Sequence[str]:
        """Return the capabilities of a model; empty if an older server reports none.

        Raises:
            ModelUnsuitable: the model cannot chat.
        """
        capabilities = (await self.show(model)).capabilities
        if capabilities and "completion" not in capabilities:
            raise ModelUnsuitable(
                f"The model {model} cannot chat; its capabilities are {', '.join(capabilities)}.",
                "`allma models list` shows the models that can.",
            )
        return capabilities

    async def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        """Download a model; closing the generator stops it, and a later pull resumes.

        Raises:
            ModelNotFound: Ollama's library has no such model.
        """
        self._shown.clear()
        timeouts = StreamTimeouts(PULL_SECONDS, PULL_SECONDS, DOWNLOAD_SECONDS)
        lines = self._client.lines(
            "/api/pull", {"model": name, "stream": True}, model=name, timeouts=timeouts
        )
        status = ""
        async with aclosing(lines):
            async for line in lines:
                timeouts.received()
                timeouts.error = ProviderError
                step = self._client.parse(_PullLine, line)
                if step.error:
                    raise _pull_failure(name, one_line(step.error) or "no reason given")
                status = step.status
                yield PullProgress(status, step.completed, step.total)
        if status != "success":
            raise ProviderError(
                f"The download of {name} ended before it was complete.",
                "Pull it again: it continues where it stopped.",
            )

    async def delete(self, name: str) -> None:
        """Delete a model from Ollama's disk.

        Raises:
            ModelNotFound: Ollama does not have it.
        """
        self._shown.clear()
        await self._client.send("DELETE", "/api/delete", {"model": name}, model=name)

    async def _complete_info(self, info: ModelInfo) -> ModelInfo:
        """Add capabilities and context length, which older servers only report for one model."""
        if info.capabilities and info.context_length:
            return info
        try:
            shown = await self.show(info.name)
        except ProviderError:  # deleted meanwhile, or damaged: list it anyway
            return info
        return replace(
            info,
            context_length=info.context_length or shown.context_length,
            capabilities=info.capabilities or shown.capabilities,
        )


@asynccontextmanager
async def open_ollama(config: Config) -> AsyncGenerator[OllamaChatModels]:
    """Open the Ollama server at `ollama_url`; it need not be running yet."""
    async with open_client(ollama(config)) as client:
        yield OllamaChatModels(client)


def _pull_failure(name: str, reason: str) -> ProviderError:
    if "file does not exist" in reason:
        return ModelNotFound(
            f"The Ollama library has no model {name}.", "https://ollama.com/library lists them."
        )
    hint = "Check the connection to the internet." if "no such host" in reason else None
    return ProviderError(f"Ollama could not download {name}: {reason}.", hint)


@dataclass(frozen=True, slots=True)
class _Shown:
    info: ModelInfo
    until: float


# --- JSON of the API ----------------------------------------------------------------------------


class _Version(BaseModel):
    version: str


class _Details(WireModel):
    parameter_size: str | None = None
    quantization_level: str | None = None
    context_length: Count = None


class _Model(WireModel):
    """A model in `/api/tags` and `/api/show`, each of which omits some fields."""

    name: str = ""
    size: Count = None
    modified_at: str | None = None
    digest: str | None = None
    details: _Details = Field(default_factory=_Details)
    capabilities: list[str] = Field(default_factory=list[str], max_length=100)
    model_info: dict[str, object] = Field(default_factory=dict[str, object])

    def as_info(self, name: str) -> ModelInfo:
        # The key begins with the architecture, as in `llama.context_length`.
        lengths = [v for k, v in self.model_info.items() if k.endswith(".context_length")]
        known = [*map(known_count, lengths), self.details.context_length]
        return ModelInfo(
            name=name,
            size=self.size,
            parameters=self.details.parameter_size or None,
            quantization=self.details.quantization_level or None,
            # A length that leaves no room for an answer is treated as unknown.
            context_length=next((v for v in known if v and v >= MIN_CONTEXT), None),
            capabilities=self.capabilities,
            modified_at=self.modified_at,
            digest=self.digest,
        )


class _Tags(BaseModel):
    models: list[_Model] | None = Field(default=None, max_length=MAX_MODELS)


class _ChatMessage(WireModel):
    content: str = ""
    thinking: str = ""
    tool_calls: Any = None


class _ChatLine(WireModel):
    message: _ChatMessage = Field(default_factory=_ChatMessage)
    done: bool = False
    done_reason: str = "stop"
    prompt_eval_count: Count = None
    eval_count: Count = None
    error: Any = None


class _OneToken(WireModel):
    logprobs: list[TokenLogprobs] = Field(default_factory=list[TokenLogprobs], max_length=8)
    error: Any = None


class _PullLine(WireModel):
    status: str = ""
    completed: Count = None
    total: Count = None
    error: str | None = None
