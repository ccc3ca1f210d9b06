"""Deterministic chat models without weights, for tests.

Models:
    echo    repeats the question, or the last line of the prompt, and cites every source
    slow    the same, endlessly, with a pause before each word, which gets a number: otherwise the
            answer would be stopped as a loop
    broken  fails after three words
    pensive thinks before it does the same, unless it is asked not to
    vector  cannot chat
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import cycle, islice

from allma_server._internal.lines import split_lines
from allma_server.config import Config
from allma_server.errors import AnswerInterrupted, ModelNotFound, ModelUnsuitable
from allma_server.types import (
    ChatMessage,
    Finish,
    ModelInfo,
    PullProgress,
    ReplyEvent,
    TextDelta,
    Think,
    ThoughtDelta,
)

CONTEXT_LENGTH = 8192
PAUSE_SECONDS = 0.02

_CAPABILITIES = {
    "echo": "completion",
    "slow": "completion",
    "broken": "completion",
    "pensive": "completion",
    "vector": "embedding",
}
_SOURCE = re.compile(r"(?:\[|<<source )(\d+)\b")
_QUESTION = "Question: "


class ScriptedChatModels:
    """Answers made from the prompt. `generating` counts the answers in progress."""

    def __init__(self) -> None:
        self.generating = 0
        self._models = {name: _info(name) for name in _CAPABILITIES}

    async def version(self) -> str:
        return "scripted"

    async def list(self) -> list[ModelInfo]:
        return list(self._models.values())

    async def show(self, name: str) -> ModelInfo:
        try:
            return self._models[name]
        except KeyError:
            raise ModelNotFound(
                f"There is no scripted model {name}.", "`allma models list` shows them."
            ) from None

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
        """Yield the answer word by word; a word counts as a token."""
        await self._require_chat(model)
        words = _answer(messages)
        prompt_tokens = sum(len(message.content.split()) for message in messages)
        count = 0
        self.generating += 1
        try:
            if model == "pensive" and think != "off":
                yield ThoughtDelta("I was asked something.")
            for word in islice(cycle(words) if model == "slow" else words, max_tokens):
                await asyncio.sleep(PAUSE_SECONDS if model == "slow" else 0)
                if model == "slow":
                    word = f"{word}-{count}"
                if model == "broken" and count == 3:
                    raise AnswerInterrupted("The scripted model broke off, as it always does.")
                yield TextDelta(f" {word}" if count else word)
                count += 1
            reason = "length" if model == "slow" or count < len(words) else "stop"
            yield Finish(reason, prompt_tokens, count)
        finally:
            self.generating -= 1

    async def next_token(
        self, model: str, messages: Sequence[ChatMessage], *, context_length: int | None = None
    ) -> Mapping[str, float]:
        """Return the first word of the answer, which is certain."""
        await self._require_chat(model)
        return {_answer(messages)[0]: 1.0}

    async def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        """Restore a model after it was deleted."""
        if name not in _CAPABILITIES:
            raise ModelNotFound(f"There is no scripted model {name}.")
        for completed in (0, 50, 100):
            yield PullProgress("pulling", completed, 100)
        self._models[name] = _info(name)
        yield PullProgress("success")

    async def delete(self, name: str) -> None:
        await self.show(name)
        del self._models[name]

    async def _require_chat(self, model: str) -> None:
        if "completion" not in (await self.show(model)).capabilities:
            raise ModelUnsuitable(f"The scripted model {model} cannot chat.")


@asynccontextmanager
async def open_scripted(config: Config) -> AsyncGenerator[ScriptedChatModels]:
    """Open the scripted models; they have no settings."""
    yield ScriptedChatModels()


def _info(name: str) -> ModelInfo:
    return ModelInfo(name, context_length=CONTEXT_LENGTH, capabilities=[_CAPABILITIES[name]])


def _answer(messages: Sequence[ChatMessage]) -> list[str]:
    lines = split_lines(messages[-1].content) if messages else []
    lines = [line for line in lines if line.strip()]
    questions = [line for line in lines if line.startswith(_QUESTION)]
    asked = (questions or lines or ["nothing"])[-1].removeprefix(_QUESTION)
    numbers = _SOURCE.findall("\n".join(message.content for message in messages))
    cited = [f"[{number}]" for number in sorted(set(map(int, numbers)))]
    return ["You", "asked:", *asked.split(), *cited]
