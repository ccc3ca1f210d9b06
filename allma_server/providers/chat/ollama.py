"""Chat through Ollama's own API: models, answers token by token, downloads.

https://github.com/ollama/ollama/blob/main/docs/api.md describes the wire. How long a model stays
loaded (`keep_alive`) is left to Ollama, whose user may have set it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel, Field

from allma_server.config import Config
from allma_server.errors import ModelNotFound, ModelUnsuitable, ProviderError
from allma_server.providers.chat.reply import Reply
from allma_server.providers.http import (
    Count,
    Listening,
    ProviderClient,
    WireModel,
    known_count,
    ollama,
    one_line,
    open_client,
)
from allma_server.types import ChatMessage, Finish, ModelInfo, PullProgress, TextDelta

LIST_SECONDS = 30.0
SHOWN_AT_ONCE = 8
# Nothing is said while a download of many gigabytes is verified.
PULL_SECONDS = 900.0
DOWNLOAD_SECONDS = 7 * 24 * 3600.0
SHOWN_SECONDS = 300.0
MOST_MODELS = 5000
LEAST_CONTEXT = 128


class OllamaChatModels:
    """The chat models of an Ollama server.

    What `show` tells is remembered for five minutes: it is asked before each answer.
    """

    def __init__(self, client: ProviderClient) -> None:
        self._client = client
        self._shown: dict[str, _Shown] = {}

    async def version(self) -> str:
        """Ollama's version; doubles as the question whether it is there."""
        return (await self._client.call("GET", "/api/version", _Version, seconds=5)).version

    async def list(self) -> list[ModelInfo]:
        """All models Ollama has, newest first, embedding models among them."""
        tags = await self._client.call("GET", "/api/tags", _Tags)
        listed = [entry.as_info(entry.name) for entry in tags.models or []]
        turns = asyncio.Semaphore(SHOWN_AT_ONCE)

        async def complete(at: int, info: ModelInfo) -> None:
            async with turns:
                listed[at] = await self._completed(info)

        with suppress(TimeoutError):  # what is known by then is told
            async with asyncio.timeout(LIST_SECONDS), asyncio.TaskGroup() as group:
                for at, info in enumerate(listed):
                    group.create_task(complete(at, info))
        return listed

    async def show(self, name: str) -> ModelInfo:
        """One model in full.

        Raises:
            ModelNotFound: Ollama does not have it.
        """
        known = self._shown.get(name)
        if known is None or known.until < time.monotonic():
            answer = await self._client.call(
                "POST", "/api/show", _Model, {"model": name}, model=name
            )
            known = _Shown(answer.as_info(name), time.monotonic() + SHOWN_SECONDS)
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
    ) -> AsyncGenerator[TextDelta | Finish]:
        """The answer as it is generated, then a Finish.

        A model that thinks is asked not to: thoughts would use up `max_tokens` unseen.
        """
        able = await self._abilities(model)
        reply = Reply(self._client.provider.name, model, max_tokens)
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
            **({"think": False} if "thinking" in able else {}),
        }
        lines = self._client.lines("/api/chat", body, model=model, listening=reply.listening)
        async with aclosing(lines):
            async for line in lines:
                said = self._client.read(_ChatLine, line)
                if said.error:
                    raise self._client.broken_off(said.error, model, begun=reply.begun)
                message = said.message
                for delta in reply.add(message.thinking, thought=True):
                    yield delta
                for delta in reply.add(message.content, tool=bool(message.tool_calls)):
                    yield delta
                if said.done:
                    for event in reply.end(
                        said.done_reason, said.prompt_eval_count, said.eval_count
                    ):
                        yield event
                    return
        raise reply.cut_short()

    async def _abilities(self, model: str) -> Sequence[str]:
        """What a model is made for, to chat among it; empty where an older server does not say.

        Raises:
            ModelUnsuitable: it cannot chat.
        """
        capabilities = (await self.show(model)).capabilities
        if capabilities and "completion" not in capabilities:
            raise ModelUnsuitable(
                f"The model {model} cannot chat; it is made for {', '.join(capabilities)}.",
                "`allma models list` shows the models that can.",
            )
        return capabilities

    async def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        """Downloads a model; closing the generator stops it, a later pull resumes.

        Raises:
            ModelNotFound: the library has no such model.
        """
        self._shown.clear()
        listening = Listening(PULL_SECONDS, PULL_SECONDS, DOWNLOAD_SECONDS)
        lines = self._client.lines(
            "/api/pull", {"model": name, "stream": True}, model=name, listening=listening
        )
        status = ""
        async with aclosing(lines):
            async for line in lines:
                listening.heard()
                listening.broken = ProviderError
                step = self._client.read(_PullLine, line)
                if step.error:
                    raise _pull_failure(name, one_line(step.error) or "it does not say why")
                status = step.status
                yield PullProgress(status, step.completed, step.total)
        if status != "success":
            raise ProviderError(
                f"The download of {name} ended before it was complete.",
                "Pull it again: what has come is kept.",
            )

    async def delete(self, name: str) -> None:
        """Removes a model from Ollama's disk.

        Raises:
            ModelNotFound: Ollama does not have it.
        """
        self._shown.clear()
        await self._client.send("DELETE", "/api/delete", {"model": name}, model=name)

    async def _completed(self, info: ModelInfo) -> ModelInfo:
        """Older servers tell a model's abilities and context length only when it is shown."""
        if info.capabilities and info.context_length:
            return info
        try:
            shown = await self.show(info.name)
        except ProviderError:  # deleted meanwhile, or broken: it is listed all the same
            return info
        return replace(
            info,
            context_length=info.context_length or shown.context_length,
            capabilities=info.capabilities or shown.capabilities,
        )


@asynccontextmanager
async def open_ollama(config: Config) -> AsyncGenerator[OllamaChatModels]:
    """The Ollama server at `ollama_url`, which need not be running yet."""
    async with open_client(ollama(config)) as client:
        yield OllamaChatModels(client)


def _pull_failure(name: str, reason: str) -> ProviderError:
    if "file does not exist" in reason:
        return ModelNotFound(
            f"The Ollama library has no model {name}.", "https://ollama.com/library lists them."
        )
    hint = "Is there a connection to the internet?" if "no such host" in reason else None
    return ProviderError(f"Ollama could not download {name}: {reason}.", hint)


@dataclass(frozen=True, slots=True)
class _Shown:
    info: ModelInfo
    until: float


# --- the wire -----------------------------------------------------------------------------------


class _Version(BaseModel):
    version: str


class _Details(WireModel):
    parameter_size: str | None = None
    quantization_level: str | None = None
    context_length: Count = None


class _Model(WireModel):
    """A model as `/api/tags` and `/api/show` tell of it, each leaving some of this out."""

    name: str = ""
    size: Count = None
    modified_at: str | None = None
    details: _Details = Field(default_factory=_Details)
    capabilities: list[str] = Field(default_factory=list[str], max_length=100)
    model_info: dict[str, Any] = Field(default_factory=dict[str, Any])

    def as_info(self, name: str) -> ModelInfo:
        # The context length stands under the architecture's name, as in `llama.context_length`.
        lengths = [v for k, v in self.model_info.items() if k.endswith(".context_length")]
        known = [*map(known_count, lengths), self.details.context_length]
        return ModelInfo(
            name=name,
            size=self.size,
            parameters=self.details.parameter_size or None,
            quantization=self.details.quantization_level or None,
            # A length in which no answer has room is none.
            context_length=next((v for v in known if v and v >= LEAST_CONTEXT), None),
            capabilities=self.capabilities,
            modified_at=self.modified_at,
        )


class _Tags(BaseModel):
    models: list[_Model] | None = Field(default=None, max_length=MOST_MODELS)


class _Said(WireModel):
    content: str = ""
    thinking: str = ""
    tool_calls: Any = None


class _ChatLine(WireModel):
    message: _Said = Field(default_factory=_Said)
    done: bool = False
    done_reason: str = "stop"
    prompt_eval_count: Count = None
    eval_count: Count = None
    error: Any = None


class _PullLine(WireModel):
    status: str = ""
    completed: Count = None
    total: Count = None
    error: str | None = None
