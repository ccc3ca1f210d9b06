"""A chat provider that keeps what a model wrote, and gives it back when it is asked again."""

import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from allma_server.ports import ChatModels
from allma_server.types import ChatMessage, Finish, ModelInfo, PullProgress, TextDelta


class RecordedChatModels:
    """Wraps the chat models of a server. `spent`: its CPU seconds for what was asked so far."""

    def __init__(self, chat: ChatModels, state: Path, server: psutil.Process) -> None:
        self.spent = 0.0
        self._chat = chat
        self._state = state
        self._server = server
        self._known: dict[str, dict[str, Any]] = {}
        if state.exists():
            for line in state.read_text().splitlines():
                entry = json.loads(line)
                self._known[entry["key"]] = entry

    async def version(self) -> str:
        return await self._chat.version()

    async def list(self) -> list[ModelInfo]:
        return await self._chat.list()

    async def show(self, name: str) -> ModelInfo:
        return await self._chat.show(name)

    def pull(self, name: str) -> AsyncGenerator[PullProgress]:
        return self._chat.pull(name)

    async def delete(self, name: str) -> None:
        await self._chat.delete(name)

    async def stream(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        *,
        context_length: int | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **more: Any,
    ) -> AsyncGenerator[TextDelta | Finish]:
        key = _key(model, messages, "stream")
        if (known := self._known.get(key)) is None:
            known = await self._record(
                key, model, messages, context_length, max_tokens, temperature, more
            )
        before = self.spent
        for text, seconds in known["pieces"]:
            self.spent = before + seconds
            yield TextDelta(text)
        self.spent = before + known["seconds"]
        yield Finish(*known["finish"])

    async def next_token(
        self, model: str, messages: Sequence[ChatMessage], *, context_length: int | None = None
    ) -> Mapping[str, float]:
        key = _key(model, messages, "token")
        known = self._known.get(key)
        if known is None:
            began = self._seconds()
            tokens = await self._chat.next_token(model, messages, context_length=context_length)
            seconds = round(self._seconds() - began, 2)
            self._keep({"key": key, "tokens": dict(tokens), "seconds": seconds})
            known = self._known[key]
        self.spent += known["seconds"]
        return known["tokens"]

    async def _record(
        self,
        key: str,
        model: str,
        messages: Sequence[ChatMessage],
        context_length: int | None,
        max_tokens: int | None,
        temperature: float | None,
        more: Mapping[str, Any],
    ) -> dict[str, Any]:
        began, pieces, finish = self._seconds(), [], Finish("stop")
        stream = self._chat.stream(
            model, messages, context_length=context_length, max_tokens=max_tokens,
            temperature=temperature, **more,
        )  # fmt: skip
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    pieces.append((event.text, round(self._seconds() - began, 2)))
                elif isinstance(event, Finish):
                    finish = event
        known = {
            "key": key,
            "pieces": pieces,
            "finish": [finish.reason, finish.prompt_tokens, finish.answer_tokens, finish.text],
            "seconds": round(self._seconds() - began, 2),
        }
        self._keep(known)
        return known

    def _keep(self, entry: dict[str, Any]) -> None:
        self._known[entry["key"]] = entry
        with self._state.open("a") as file:
            file.write(json.dumps({**entry, "at": int(time.time())}) + "\n")

    def _seconds(self) -> float:
        times = self._server.cpu_times()
        return times.user + times.system


def _key(model: str, messages: Sequence[ChatMessage], kind: str) -> str:
    content = json.dumps([model, kind, *map(asdict, messages)])
    return sha256(content.encode()).hexdigest()[:24]
