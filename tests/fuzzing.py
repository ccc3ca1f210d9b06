"""Mutated messages: valid requests of each protocol with an error in them."""

import asyncio
import copy
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from allma_server.daemon.link import connect
from allma_server.locations import data_dir
from allma_server.protocols.shell import WIRE
from tests.e2e.program import program
from tests.protocol.wire import Frames, Lines, Message, Wire, envelope

PROTOCOLS = ("lsp", "mcp", "modern", "shell")
OUTSTANDING = 40
"""Requests that are sent before answers are waited for."""

ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**40, "", " ", "\0", "\ud800", "²", "é" * 300,
    "null", "[z-a]", "allma://document/²", "allma://[::1", "file:///%00", "../..", "all",
    [], [[]], [None], {}, {"a": {"b": []}}, "x" * 5000, [1, "a", None], -(2**31), 99999,
]  # fmt: skip
IDS: list[Any] = [None, True, [], {}, 1.5, [1], {"id": 1}, "\ud800", 10**60, -(2**70), "", "é"]

OPERATIONS: list[tuple[str, Message]] = [
    ("search", {"query": "salty sea", "top_k": 2, "path": "*.md", "workspace": "all"}),
    ("explain", {"query": "rivers", "top_k": 1}),
    ("ask", {"question": "Why is it salty?", "use_rag": True, "model": "echo", "top_k": 1}),
    ("read", {"source": "sea.md", "start_line": 1, "end_line": 2, "neighbors": 0}),
    ("ingest", {"paths": ["sea.md"]}),
    ("sync", {"path": "."}),
    ("forget", {"path": "nothing.md"}),
    ("documents", {"state": "indexed", "limit": 2, "cursor": None, "workspace": "."}),
    ("conversations.list", {"query": "salty", "limit": 2}),
    ("conversations.show", {"id": "none"}),
    ("conversations.rename", {"id": "none", "title": "x"}),
    ("conversations.delete", {"id": "none"}),
    ("conversations.export", {"id": "none"}),
    ("models.list", {}),
    ("models.show", {"name": "echo"}),
    ("models.use", {"name": "echo"}),
    ("status", {"job_id": None}),
    ("jobs.cancel", {"job_id": "none"}),
    ("eval", {"questions": "none.jsonl", "top_k": 1}),
    ("export", {"path": "/no/such/folder/x"}),
]
TOOLS: list[tuple[str, Message]] = [
    *[(name, OPERATIONS[n][1]) for n, name in ((0, "search"), (2, "ask"), (3, "read"))],
    ("documents", {"state": "indexed", "cursor": None}),
    ("index", {"action": "sync", "path": "."}),
    ("index", {"action": "add", "path": "sea.md"}),
    ("conversations", {"action": "show", "id": "none", "title": "x"}),
    ("conversations", {"action": "list"}),
    ("models", {"action": "show", "name": "echo"}),
    ("status", {"job_id": None}),
]
TEXT_DOCUMENT = {"uri": "file:///a.md", "languageId": "markdown", "version": 1, "text": "ice"}
RANGE = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 3}}


def bases(protocol: str) -> list[tuple[str, Any]]:
    """Method and parameters of valid requests and notifications."""
    if protocol == "shell":
        return list(OPERATIONS)
    if protocol == "lsp":
        return [
            *[(f"allma/{name}", arguments) for name, arguments in OPERATIONS],
            *[
                ("workspace/executeCommand", {"command": f"allma.{name}", "arguments": [given]})
                for name, given in OPERATIONS
            ],
            ("allma/content", {"uri": "allma://status"}),
            ("workspace/textDocumentContent", {"uri": "allma://status"}),
            ("textDocument/didOpen", {"textDocument": TEXT_DOCUMENT}),
            ("textDocument/didSave", {"textDocument": {"uri": "file:///a.md"}}),
            ("textDocument/didClose", {"textDocument": {"uri": "file:///a.md"}}),
            (
                "textDocument/codeAction",
                {
                    "textDocument": {"uri": "file:///a.md"},
                    "range": RANGE,
                    "context": {"diagnostics": [], "only": ["allma"], "triggerKind": 1},
                },
            ),
            ("workspace/didChangeConfiguration", {"settings": {"allma": {"topK": 3}}}),
            ("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": []}}),
            ("workspace/didChangeWatchedFiles", {"changes": [{"uri": "file:///a", "type": 2}]}),
            ("window/workDoneProgress/cancel", {"token": "none"}),
            ("$/cancelRequest", {"id": "none"}),
            ("$/setTrace", {"value": "off"}),
            ("initialize", {"capabilities": {}, "processId": None, "rootUri": None}),
            ("initialized", {}),
        ]
    return [
        *[("tools/call", {"name": name, "arguments": arguments}) for name, arguments in TOOLS],
        ("tools/list", {}),
        ("resources/list", {"cursor": None}),
        ("resources/templates/list", {}),
        ("resources/read", {"uri": "allma://status"}),
        ("resources/subscribe", {"uri": "allma://status"}),
        ("resources/unsubscribe", {"uri": "allma://status"}),
        ("prompts/list", {}),
        ("prompts/get", {"name": "ask_workspace", "arguments": {"question": "x"}}),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "summarize_document"},
                "argument": {"name": "path", "value": "s"},
            },
        ),
        ("ping", {}),
        ("notifications/cancelled", {"requestId": "none", "reason": "x"}),
        ("notifications/progress", {"progressToken": 1, "progress": 1}),
        ("notifications/roots/list_changed", {}),
    ]


@dataclass
class Frame:
    """Bytes of a message; `required`: the ids that must be answered, `allowed`: that may be."""

    body: bytes
    required: list[Any] = field(default_factory=list[Any])
    allowed: list[Any] = field(default_factory=list[Any])


class Fuzzer:
    """Makes frames, always the same ones for a seed."""

    def __init__(self, protocol: str, seed: int) -> None:
        self.protocol = protocol
        self.chance = random.Random(f"{protocol}:{seed}")
        self._bases = bases(protocol)
        self._made = 0

    def frame(self) -> Frame:
        self._made += 1
        id: Any = f"f{self._made}"
        method, params = copy.deepcopy(self.chance.choice(self._bases))
        if self.protocol == "modern" and self.chance.random() < 0.9:
            params = {**params, "_meta": envelope()}
        message: Any = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 3))):
            message = self._mutated(message)
        if self.chance.random() < 0.05:
            del message["id"]
        elif self.chance.random() < 0.05:
            message["id"] = self.chance.choice(IDS)
        return self._bytes(message, id)

    def _mutated(self, message: Message) -> Message:
        """The message with one part changed; its id stays."""
        places: list[tuple[Any, Any]] = []

        def visit(value: Any) -> None:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in list(items):
                places.append((value, key))
                if isinstance(part, dict | list):
                    visit(part)

        inside = message.get("params")
        if isinstance(inside, dict | list) and self.chance.random() < 0.8:
            visit(inside)
        if not places:
            places = [(message, key) for key in ("jsonrpc", "method", "params")]
        parent, key = self.chance.choice(places)
        match self.chance.randrange(6):
            case 0 if isinstance(parent, dict):
                parent.pop(key, None)
            case 1 if isinstance(parent, dict):
                parent[self.chance.choice(("extra", "_meta", "workDoneToken", "__class__"))] = (
                    self._odd()
                )
            case 2:
                parent[key] = json.loads("[" * 60 + "]" * 60)
            case _:
                parent[key] = self._odd()
        return message

    def _odd(self) -> Any:
        return copy.deepcopy(self.chance.choice(ODD))

    def _bytes(self, message: Message, id: Any) -> Frame:
        body = json.dumps(message).encode()
        roll, given = self.chance.random(), message.get("id")
        unclear = [id, None, *([given] if isinstance(given, int | str) else [])]
        if roll < 0.03:
            return Frame(body[: self.chance.randrange(1, len(body))], allowed=unclear)
        if roll < 0.05:
            at = self.chance.randrange(len(body))
            noise = bytes(self.chance.choices(range(128, 256), k=2)) + b"\xff"
            cut = body[:at] + noise + body[at:]
            return Frame(cut, allowed=unclear)
        if roll < 0.06:
            deep = b"[" * 10_000 + b"]" * 10_000
            return Frame(b'{"jsonrpc":"2.0","id":"%b","params":%b}' % (id.encode(), deep), [id])
        if roll < 0.07:
            other = f"{id}b"
            batch = [message, {"jsonrpc": "2.0", "id": other, "method": "ping"}]
            required = [i for i in (message.get("id"), other) if _usable(i)]
            return Frame(json.dumps(batch).encode(), required, [None])
        if "id" not in message or not _usable(given):
            return Frame(body, allowed=unclear)
        response = "method" not in message or message["method"] is None
        answers_nothing = response and ("result" in message or "error" in message)
        return Frame(body, [] if answers_nothing else [given])


def _usable(id: Any) -> bool:
    whole = isinstance(id, int) and not isinstance(id, bool)
    return whole or (isinstance(id, str) and "\ud800" not in id)


@asynccontextmanager
async def client_of(protocol: str, folder: Path) -> AsyncGenerator[tuple[Wire, int]]:
    """A client after its handshake, and the pid of the process it talks to."""
    if protocol == "shell":
        hello = {"protocol": "shell", "wire": WIRE, "cwd": str(folder)}
        link = await asyncio.to_thread(connect, data_dir(), hello)
        reader, writer = await asyncio.open_unix_connection(sock=link, limit=1 << 26)
        try:
            yield Frames(reader, writer), 0
        finally:
            writer.close()
        return
    name, wire = ("lsp", Frames) if protocol == "lsp" else ("mcp", Lines)
    async with program(name, wire=wire, cwd=folder) as (client, process):
        if protocol != "modern":
            await client.initialize()
        yield client, process.pid


@dataclass
class Outcome:
    """What came of a run."""

    answers: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    memory: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Resident bytes of the client's process and of the engine, from time to time."""


async def run(protocol: str, folder: Path, frames: int, seed: int, seconds: float = 60) -> Outcome:
    """Sends so many frames, and sees that each is answered as it must be."""
    fuzzer, outcome = Fuzzer(protocol, seed), Outcome()
    waiting: dict[str, list[bytes]] = {}
    allowed: Counter[str] = Counter()
    async with client_of(protocol, folder) as (client, pid):
        engine = await _engine_pid(client, protocol)

        async def settle(most: int) -> None:
            async with asyncio.timeout(seconds):
                while len(waiting) > most:
                    message = await client.receive()
                    assert message is not None, "the server left"
                    _note(message, waiting, allowed, outcome)

        for number in range(frames):
            frame = fuzzer.frame()
            for id in frame.required:
                waiting.setdefault(json.dumps(id), []).append(frame.body)
            allowed.update(json.dumps(id) for id in frame.allowed)
            client.writer.write(client.frame(frame.body.replace(b"\n", b" ")))
            if number % max(1, frames // 5) == 0:
                outcome.memory.append((resident(pid), resident(engine)))
            try:
                await settle(OUTSTANDING)
            except TimeoutError:
                break
        waiting[json.dumps("the last")] = [b"the last"]
        last = {"jsonrpc": "2.0", "id": "the last", "method": "ping", "params": {}}
        client.send(last)
        try:
            await settle(0)
        except TimeoutError:
            outcome.faults += [f"no answer to {bodies[0][:300]!r}" for bodies in waiting.values()]
        outcome.memory.append((resident(pid), resident(engine)))
        if engine != await _engine_pid(client, protocol):
            outcome.faults.append("the engine has died")
    return outcome


def _note(
    message: Message, waiting: dict[str, list[bytes]], allowed: Counter[str], outcome: Outcome
) -> None:
    if "method" in message:
        return
    id = json.dumps(message["id"])
    bodies = waiting.get(id, [])
    if not bodies:
        if not allowed[id]:
            outcome.faults.append(f"an answer to nothing: {str(message)[:300]}")
        return
    body = bodies.pop(0)
    if not bodies:
        del waiting[id]
    error = message.get("error")
    reported = message.get("result")
    structured = reported.get("structuredContent") if isinstance(reported, dict) else None
    failed = isinstance(reported, dict) and reported.get("isError")
    code = error["code"] if error else (structured or {}).get("code") if failed else "result"
    outcome.answers[str(code)] += 1
    if "Unexpected error" in json.dumps(error or (structured if failed else None)):
        outcome.faults.append(f"unexpected failure: {body[:400]!r}")


async def _engine_pid(client: Wire, protocol: str) -> int:
    calls: dict[str, Callable[[], Any]] = {
        "lsp": lambda: client.result("allma/status"),
        "shell": lambda: client.result("status"),
        "mcp": lambda: client.result("tools/call", {"name": "status", "arguments": {}}),
        "modern": lambda: client.result(
            "tools/call", {"name": "status", "arguments": {}, "_meta": envelope()}
        ),
    }
    reported = await calls[protocol]()
    return (reported.get("structuredContent") or reported)["pid"]


def resident(pid: int) -> int:
    return psutil.Process(pid).memory_info().rss if pid else 0
