"""Runs a GGUF model with llama.cpp, as Ollama's runner does."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import xllamacpp

from tests.ollama.streaming import Refused

Messages = list[dict[str, str]]
THOUGHT_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of the answer; the last piece says why it ended, and what was counted.

    `thinking`: the text is a thought. `logprobs`: of its tokens, as Ollama reports them.
    """

    text: str = ""
    thinking: bool = False
    logprobs: list[dict[str, Any]] | None = None
    reason: str | None = None
    prompt_tokens: int = 0
    answer_tokens: int = 0
    prompt_ns: int = 0
    answer_ns: int = 0


class Runner:
    """One model in memory, with room for `context` tokens; answers one request at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: Any = None
        self._turn = asyncio.Lock()
        self.context = 0
        self.active = 0
        self.stopped = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def loaded(self) -> bool:
        return self._server is not None

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.listening_address

    async def load(self, context: int) -> int:
        """Load the model, again if its context changes; return the nanoseconds that this took."""
        began = time.perf_counter_ns()
        if self._server is None or context != self.context:
            self._server = None
            self._server = await asyncio.to_thread(_start, self._path, context)
            self.context = context
        return time.perf_counter_ns() - began

    def unload(self) -> None:
        self._server = None

    async def chat(
        self, http: httpx.AsyncClient, messages: Messages, options: dict[str, object]
    ) -> AsyncGenerator[Piece]:
        """The answer piece by piece; closing the generator stops llama.cpp."""
        async with self._turn:
            messages = await self._fitting(http, messages)
            body = {"messages": messages, "stream": True, "cache_prompt": True, **options}
            reason, timings = "stop", {}
            request = http.stream("POST", f"{self.url}/v1/chat/completions", json=body)
            async with self._counted(), request as response:
                async for line in response.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    event = json.loads(line.removeprefix("data: "))
                    timings = event.get("timings") or timings
                    for choice in event.get("choices", ()):
                        reason = choice["finish_reason"] or reason
                        if text := choice["delta"].get("content"):
                            yield Piece(text, logprobs=_logprobs(choice))
            yield Piece(
                reason=reason,
                prompt_tokens=timings["prompt_n"] + timings["cache_n"],
                answer_tokens=timings["predicted_n"],
                prompt_ns=int(timings["prompt_ms"] * 1e6),
                answer_ns=int(timings["predicted_ms"] * 1e6),
            )

    async def think(
        self, http: httpx.AsyncClient, messages: Messages, options: dict[str, Any]
    ) -> AsyncGenerator[Piece]:
        """Thoughts, then the answer; both count towards the limit of tokens, as they do in Ollama.

        No small model thinks by itself, so this one is asked to first.
        """
        limit = options["max_tokens"]
        order = {"role": "user", "content": "Think aloud in a sentence: what do I want to know?"}
        short = {**options, "max_tokens": min(limit, THOUGHT_TOKENS)}
        thoughts = Piece()
        async with aclosing(self.chat(http, [*messages, order], short)) as pieces:
            async for piece in pieces:
                thoughts = piece
                if piece.reason is None:
                    yield replace(piece, thinking=True)
        left = limit - thoughts.answer_tokens
        if left <= 0:
            yield thoughts
            return
        rest = self.chat(http, messages, {**options, "max_tokens": left})
        async with aclosing(rest) as pieces:
            async for piece in pieces:
                counted = piece.answer_tokens + thoughts.answer_tokens
                yield replace(piece, answer_tokens=counted) if piece.reason else piece

    async def relay(
        self, http: httpx.AsyncClient, path: str, body: dict[str, object]
    ) -> AsyncGenerator[bytes]:
        """What llama.cpp itself answers, byte for byte."""
        request = http.stream("POST", f"{self.url}{path}", json=body)
        async with self._turn, self._counted(), request as response:
            if response.is_error:
                error = json.loads(await response.aread())["error"]
                raise Refused(response.status_code, error["message"])
            async for chunk in response.aiter_bytes():
                yield chunk

    @asynccontextmanager
    async def _counted(self) -> AsyncGenerator[None]:
        self.active += 1
        self.idle.clear()
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError):
            self.stopped += 1
            raise
        finally:
            self.active -= 1
            if not self.active:
                self.idle.set()

    async def _fitting(self, http: httpx.AsyncClient, messages: Messages) -> Messages:
        """Ollama silently drops the oldest turns, then the beginning of the last message."""
        while len(await self._tokens(http, messages)) >= self.context:
            turns = [i for i, m in enumerate(messages[:-1]) if m["role"] != "system"]
            if turns:
                messages = [m for i, m in enumerate(messages) if i != turns[0]]
                continue
            last = messages[-1]["content"]
            answer = await http.post(f"{self.url}/tokenize", json={"content": last})
            kept = answer.json()["tokens"][-self.context // 2 :]
            answer = await http.post(f"{self.url}/detokenize", json={"tokens": kept})
            shortened = {**messages[-1], "content": answer.json()["content"]}
            return [*messages[:-1], shortened]
        return messages

    async def _tokens(self, http: httpx.AsyncClient, messages: Messages) -> list[int]:
        answer = await http.post(f"{self.url}/apply-template", json={"messages": messages})
        answer = await http.post(
            f"{self.url}/tokenize", json={"content": answer.json()["prompt"], "add_special": True}
        )
        return answer.json()["tokens"]


def _logprobs(choice: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The log-probabilities of a choice without llama.cpp's own additions."""
    content = (choice.get("logprobs") or {}).get("content")
    if not content:
        return None

    def token(entry: dict[str, Any]) -> dict[str, Any]:
        return {key: entry[key] for key in ("token", "logprob", "bytes") if key in entry}

    return [
        token(entry) | {"top_logprobs": list(map(token, entry.get("top_logprobs", ())))}
        for entry in content
    ]


def _start(path: Path, context: int) -> Any:
    llama: Any = xllamacpp  # it has no types
    parameters = llama.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    # Two threads on two busy cores spin against each other and are five times slower than one.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.port = 0
    parameters.warmup = False
    parameters.ui = False
    return llama.Server(parameters)
