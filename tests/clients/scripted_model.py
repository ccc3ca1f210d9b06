"""A model that follows a script, behind the three interfaces that agents speak.

Asked for the first time it calls the tool whose name ends in `search`; with the tool's result
before it, it says that result. So an agent's whole loop runs without any model.
"""

import json
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SAID = "The documents say: "
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


@dataclass
class ScriptedModel:
    """What the model searches for, and what it received."""

    query: str
    url: str = ""
    tools: set[str] = field(default_factory=set[str])
    results: list[str] = field(default_factory=list[str])

    @property
    def arguments(self) -> str:
        return json.dumps({"query": self.query, "top_k": 1})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", _models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/responses", self.respond, methods=["POST"]),
                Route("/v1/messages", self.message, methods=["POST"]),
            ]
        )

    async def chat(self, request: Request) -> Response:
        """Chat completions, as opencode speaks them."""
        body = await request.json()
        names = [tool["function"]["name"] for tool in body.get("tools", [])]
        results = [m["content"] for m in body["messages"] if m["role"] == "tool"]
        tool = self._choose(names, results)
        delta: dict[str, Any] = {"role": "assistant", "content": self._says(results)}
        if tool:
            function = {"name": tool, "arguments": self.arguments}
            call = {"index": 0, "id": "call_1", "type": "function", "function": function}
            delta |= {"content": None, "tool_calls": [call]}
        reason = "tool_calls" if tool else "stop"
        base = {"id": "c", "created": 0, "model": "scripted", "object": "chat.completion.chunk"}
        chunks = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {**base, "choices": [], "usage": USAGE},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        return StreamingResponse(iter([*lines, "data: [DONE]\n\n"]), media_type="text/event-stream")

    async def respond(self, request: Request) -> Response:
        """Responses, as Codex speaks them; its MCP tools come in groups, one for each server."""
        body = await request.json()
        grouped = {
            inner["name"]: tool["name"]
            for tool in body.get("tools", [])
            if tool["type"] == "namespace"
            for inner in tool["tools"]
        }
        plain = [tool["name"] for tool in body.get("tools", []) if tool["type"] == "function"]
        inputs = body["input"] if isinstance(body["input"], list) else []
        results = [
            str(each["output"]) for each in inputs if each.get("type") == "function_call_output"
        ]
        tool = self._choose([*grouped, *plain], results)
        if tool:
            item = {
                "type": "function_call",
                "id": "f1",
                "call_id": "c1",
                "name": tool,
                "arguments": self.arguments,
                "status": "completed",
            }
            if tool in grouped:
                item["namespace"] = grouped[tool]
        else:
            text = {"type": "output_text", "text": self._says(results), "annotations": []}
            item = {
                "type": "message",
                "id": "m1",
                "role": "assistant",
                "status": "completed",
                "content": [text],
            }
        return StreamingResponse(_events(item), media_type="text/event-stream")

    async def message(self, request: Request) -> Response:
        """Messages, as Claude Code speaks them."""
        body = await request.json()
        names = [tool["name"] for tool in body.get("tools", [])]
        blocks = [
            b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]
        ]
        results = [json.dumps(b["content"]) for b in blocks if b["type"] == "tool_result"]
        tool = self._choose(names, results)
        if tool:
            block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": self.arguments}
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": self._says(results)}
        usage = {"input_tokens": 1, "output_tokens": 1}
        whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        whole |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        reason = {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}
        if not body.get("stream"):
            content = {**block, "input": json.loads(self.arguments)} if tool else block
            return JSONResponse({**whole, **reason, "content": [content]})
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": whole},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": reason, "usage": usage},
            {"type": "message_stop"},
        ]
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
        return StreamingResponse(iter(lines), media_type="text/event-stream")

    def _choose(self, names: list[str], results: list[str]) -> str | None:
        self.tools |= set(names)
        self.results += results
        if results:
            return None
        # An agent has searches of its own; ours is called after its server.
        ours = [
            name
            for name in names
            if name == "search" or name.endswith(("allma_search", "allma__search"))
        ]
        return ours[0] if ours else None

    def _says(self, results: list[str]) -> str:
        return SAID + results[-1] if results else "There is nothing to search with."


def _events(item: dict[str, Any]) -> Iterator[str]:
    details = {"input_tokens_details": {"cached_tokens": 0}}
    details |= {"output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details}
    whole = {"id": "r1", "object": "response", "created_at": 0, "model": "scripted"}
    done = {**whole, "status": "completed", "output": [item], "usage": usage}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": {**whole, "status": "in_progress", "output": []}}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": done}),
    ]
    for name, data in events:
        yield f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n"


async def _models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})


@contextmanager
def scripted_model(query: str) -> Generator[ScriptedModel]:
    """A model that searches for `query`, at its `url` while the block lasts."""
    model = ScriptedModel(query)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        model.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        server = uvicorn.Server(uvicorn.Config(model.app(), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield model
        finally:
            server.should_exit = True
            thread.join()


def claude_variables(model: ScriptedModel) -> dict[str, str]:
    """The environment in which Claude Code asks the model, and nobody else."""
    return {
        "ANTHROPIC_BASE_URL": model.url.removesuffix("/v1"),
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "ENABLE_TOOL_SEARCH": "false",
        # The script answers before a server could have started.
        "MCP_CONNECTION_NONBLOCKING": "0",
    }
