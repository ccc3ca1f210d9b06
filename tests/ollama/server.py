"""The Ollama-compatible server: `python -m tests.ollama.server` prints its address.

`/test/active` tells how many answers are being generated and how many were stopped by their reader,
`/test/idle` answers the same when none is generated. `--max-answer N` ends every answer after N
tokens: a small model may ramble for longer than a test is patient. Models of `fetch.py` that are
named beside it are installed too.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tokenizers import Tokenizer

from allma_server.config import Config
from allma_server.providers.embedding.in_process import InProcessEmbedder
from allma_server.providers.embedding.local import FOLDER, MODEL, open_local
from tests.ollama.library import Installed, Library
from tests.ollama.streaming import Refused, Stream, refusal, reply

VERSION = "0.33.0"
DEFAULT_CONTEXT = 4096
NO_LIMIT = 100_000
"""Tokens that no model has room for."""
OPTIONS = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "repeat_penalty": "repeat_penalty",
}


class Ollama:
    """The endpoints."""

    def __init__(self, max_answer: int, models: Sequence[str]) -> None:
        self.library = Library(models)
        self.max_answer = max_answer
        # llama.cpp closes an idle connection after some seconds, at any moment.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)
        self.embedder: InProcessEmbedder | None = None
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.expires: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        async with self.http, open_local(MODEL, Config(embed_threads=1)) as self.embedder:
            yield
        for runner in self.library.runners:
            runner.unload()

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def running(self, request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def tags(self, request: Request) -> Response:
        return JSONResponse({"models": [m.entry() for m in self.library.installed.values()]})

    async def ps(self, request: Request) -> Response:
        loaded = [
            m.entry()
            | {
                "size_vram": 0,
                "context_length": m.runner.context,
                "expires_at": datetime.fromtimestamp(self.expires[m.name], UTC).isoformat(),
            }
            for m in self.library.installed.values()
            if m.runner and m.runner.loaded and self.expires.get(m.name, 0) > time.time()
        ]
        return JSONResponse({"models": loaded})

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._model(await _body(request)).shown())

    async def delete(self, request: Request) -> Response:
        del self.library.installed[self._model(await _body(request)).name]
        return Response()

    async def pull(self, request: Request) -> Response:
        body = await _body(request)
        return await reply(self._pulled(body["model"]), body, request)

    async def _pulled(self, name: str) -> AsyncGenerator[dict[str, Any]]:
        yield {"status": "pulling manifest"}
        model = self.library.pullable(name)
        if model is None:
            raise Refused(500, "pull model manifest: file does not exist")
        layer = {
            "status": f"pulling {model.digest[:12]}",
            "digest": f"sha256:{model.digest}",
            "total": model.size,
        }
        yield layer
        for completed in (model.size // 2, model.size):
            yield {**layer, "completed": completed}
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self.library.installed[model.name] = model
        yield {"status": "success"}

    async def chat(self, request: Request) -> Response:
        body = await _body(request)
        model = self._model(body)
        parts = self._generated(model, body, body.get("messages"), "message")
        return await reply(parts, body, request)

    async def generate(self, request: Request) -> Response:
        body = await _body(request)
        model = self._model(body)
        messages = [{"role": "user", "content": body["prompt"]}] if body.get("prompt") else []
        if messages and body.get("system"):
            messages.insert(0, {"role": "system", "content": body["system"]})
        return await reply(self._generated(model, body, messages, "response"), body, request)

    async def _generated(
        self,
        model: Installed,
        body: dict[str, Any],
        messages: list[dict[str, str]] | None,
        key: str,
    ) -> AsyncGenerator[dict[str, Any]]:
        began = time.perf_counter_ns()
        options = body.get("options") or {}
        for name in ("num_ctx", "num_predict"):
            if name in options and not isinstance(options[name], int):
                raise Refused(400, f'option "{name}" must be of type integer')
        runner = model.runner
        if runner is None:
            verb = "chat" if key == "message" else "generate"
            raise Refused(400, f'"{body["model"]}" does not support {verb}')
        if body.get("think") and not model.thinks:
            raise Refused(400, f'"{body["model"]}" does not support thinking')

        def part(text: str, *, thinking: bool = False, **more: object) -> dict[str, Any]:
            said, thought = ("", {"thinking": text}) if thinking else (text, {})
            stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            head = {"model": body["model"], "created_at": stamp}
            if key == "message":
                return head | {key: {"role": "assistant", "content": said, **thought}, **more}
            return head | {key: said, **thought, **more}

        keep = _seconds(body.get("keep_alive", "5m"))
        if not messages and keep == 0:
            runner.unload()
            yield part("", done=True, done_reason="unload")
            return
        context = min(options.get("num_ctx", DEFAULT_CONTEXT), model.context_length)
        load_ns = await runner.load(context)
        self.expires[model.name] = time.time() + (keep if keep >= 0 else 10**9)
        if not messages:
            yield part("", done=True, done_reason="load")
            return
        sampling = self._sampling(body, options)
        thinks = model.thinks and body.get("think") is not False
        stream = runner.think if thinks else runner.chat
        async with aclosing(stream(self.http, messages, sampling)) as pieces:
            async for piece in pieces:
                if piece.reason is None:
                    chances = {"logprobs": piece.logprobs} if piece.logprobs else {}
                    yield part(piece.text, thinking=piece.thinking, done=False, **chances)
                    continue
                metrics = {
                    "total_duration": time.perf_counter_ns() - began,
                    "load_duration": load_ns,
                    "prompt_eval_count": piece.prompt_tokens,
                    "prompt_eval_duration": piece.prompt_ns,
                    "eval_count": piece.answer_tokens,
                    "eval_duration": piece.answer_ns,
                }
                counted = {name: value for name, value in metrics.items() if value}
                yield part("", thinking=False, done=True, done_reason=piece.reason, **counted)
        if keep == 0:
            runner.unload()

    def _sampling(self, body: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        """The options in llama.cpp's words."""
        top = body.get("top_logprobs", 0)
        if not 0 <= top <= 20:
            raise Refused(400, "top_logprobs must be between 0 and 20")
        sampling = {
            OPTIONS[name]: value
            for name, value in options.items()
            if name in OPTIONS and not (name == "num_predict" and value < 0)
        }
        sampling["max_tokens"] = min(sampling.get("max_tokens", NO_LIMIT), self.max_answer)
        if body.get("logprobs"):
            sampling |= {"logprobs": True, "top_logprobs": top}
        return sampling

    async def embed(self, request: Request) -> Response:
        body = await _body(request)
        model = self._model(body, embedding=True)
        given = body.get("input", [])
        texts = [given] if isinstance(given, str) else given
        if not all(isinstance(text, str) for text in texts):
            raise Refused(400, "invalid input type")
        vectors, tokens = await self._vectors(model, texts, body.get("truncate", True))
        if cut := body.get("dimensions"):
            vectors = [_unit(vector[:cut]) for vector in vectors]
        answer = {"model": body["model"], "embeddings": vectors, "prompt_eval_count": tokens}
        return JSONResponse(answer)

    async def embeddings(self, request: Request) -> Response:
        body = await _body(request)
        model = self._model(body, embedding=True)
        vectors, _ = await self._vectors(model, [body.get("prompt", "")], True)
        return JSONResponse({"embedding": vectors[0] if body.get("prompt") else []})

    async def _vectors(
        self, model: Installed, texts: list[str], truncate: bool
    ) -> tuple[list[list[float]], int]:
        if model.runner is not None:
            raise Refused(501, "this model does not support embeddings")
        lengths = [len(self.tokenizer.encode(text).ids) for text in texts]
        if not truncate and any(length > model.context_length for length in lengths):
            raise Refused(400, "the input length exceeds the context length")
        assert self.embedder is not None
        return (await self.embedder.embed_documents(texts)).tolist(), sum(lengths)

    async def openai_models(self, request: Request) -> Response:
        data = [{"id": name, "object": "model"} for name in self.library.installed]
        return JSONResponse({"object": "list", "data": data})

    async def openai_chat(self, request: Request) -> Response:
        """Handed on to llama.cpp, whose events come back byte for byte."""
        body = await _body(request)
        model = self._model(body)
        if model.runner is None:
            raise Refused(400, f'"{body["model"]}" does not support chat')
        await model.runner.load(min(DEFAULT_CONTEXT, model.context_length))
        body["max_tokens"] = min(body.get("max_tokens") or NO_LIMIT, self.max_answer)
        chunks = model.runner.relay(self.http, "/v1/chat/completions", body)
        return Stream(chunks, request, "text/event-stream")

    async def openai_embeddings(self, request: Request) -> Response:
        body = await _body(request)
        model = self._model(body)
        given = body["input"]
        vectors, tokens = await self._vectors(
            model, [given] if isinstance(given, str) else given, False
        )
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "usage": usage})

    async def active(self, request: Request) -> Response:
        runners = self.library.runners
        active, stopped = sum(r.active for r in runners), sum(r.stopped for r in runners)
        return JSONResponse({"active": active, "stopped": stopped})

    async def idle(self, request: Request) -> Response:
        for runner in self.library.runners:
            await runner.idle.wait()
        return await self.active(request)

    def _model(self, body: dict[str, Any], *, embedding: bool = False) -> Installed:
        name = body.get("model") or body.get("name") or ""
        if not name:
            raise Refused(400, "model is required")
        model = self.library.find(name)
        if model is None and embedding:
            raise Refused(404, f'model "{name}" not found, try pulling it first')
        if model is None:
            raise Refused(404, f"model '{name}' not found")
        return model


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if not raw:
        raise Refused(400, "missing request body")
    try:
        return json.loads(raw)
    except ValueError as exc:
        raise Refused(400, f"invalid character in request: {exc}") from exc


def _seconds(keep_alive: float | str) -> float:
    """Go's durations, such as 1h30m, or seconds; negative means for ever."""
    if isinstance(keep_alive, int | float):
        return float(keep_alive)
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    found = re.findall(r"([\d.]+)(ms|s|m|h)", keep_alive)
    total = sum(float(number) * units[unit] for number, unit in found)
    return -total if keep_alive.startswith("-") else total


def _unit(vector: list[float]) -> list[float]:
    length = sum(x * x for x in vector) ** 0.5 or 1.0
    return [x / length for x in vector]


async def _refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)
    return refusal(request, exc)


async def _unknown(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return PlainTextResponse("404 page not found", exc.status_code)


def application(max_answer: int, models: Sequence[str]) -> Starlette:
    ollama = Ollama(max_answer, models)
    return Starlette(
        routes=[
            Route("/", ollama.running, methods=["GET", "HEAD"]),
            Route("/api/version", ollama.version),
            Route("/api/tags", ollama.tags),
            Route("/api/ps", ollama.ps),
            Route("/api/show", ollama.show, methods=["POST"]),
            Route("/api/pull", ollama.pull, methods=["POST"]),
            Route("/api/delete", ollama.delete, methods=["DELETE"]),
            Route("/api/chat", ollama.chat, methods=["POST"]),
            Route("/api/generate", ollama.generate, methods=["POST"]),
            Route("/api/embed", ollama.embed, methods=["POST"]),
            Route("/api/embeddings", ollama.embeddings, methods=["POST"]),
            Route("/v1/models", ollama.openai_models),
            Route("/v1/chat/completions", ollama.openai_chat, methods=["POST"]),
            Route("/v1/embeddings", ollama.openai_embeddings, methods=["POST"]),
            Route("/test/active", ollama.active),
            Route("/test/idle", ollama.idle),
        ],
        exception_handlers={Refused: _refused, HTTPException: _unknown},
        lifespan=ollama.lifespan,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-answer", type=int, default=NO_LIMIT, metavar="N")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="such as qwen-0.5b")
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        sys.stdout.write(f"http://{host}:{port}\n")
        sys.stdout.flush()
        # What llama.cpp prints belongs to the log.
        os.dup2(2, 1)
        config = uvicorn.Config(
            application(arguments.max_answer, arguments.models),
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
