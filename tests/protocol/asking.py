"""Ask the same question over each protocol, and record what its client sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic.alias_generators import to_camel

from allma_server.errors import AllmaError
from allma_server.operations import NullProgress, jsonable
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.types import Citation
from tests.protocol.ai_client import legacy
from tests.protocol.editor import editor
from tests.protocol.wire import shell

Protocol = Literal["shell", "lsp", "mcp"]
PROTOCOLS: Sequence[Protocol] = ("shell", "lsp", "mcp")


@dataclass
class Seen:
    """What a client saw: events in order, then the answer or the failure, in snake case."""

    events: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    answer: dict[str, Any] = field(default_factory=dict[str, Any])
    failure: dict[str, Any] = field(default_factory=dict[str, Any])
    listener: Callable[[str], None] = lambda _: None

    def add(self, kind: str, text: str) -> None:
        self.events.append((kind, text))
        self.listener(kind)

    def said(self, kind: str) -> str:
        return "".join(text for name, text in self.events if name == kind)

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events, each series of one kind once."""
        names = [kind for kind, _ in self.events]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


class _ShellProgress(NullProgress):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def report(self, done: int, total: int | None, message: str) -> None:
        self._seen.add("status", message)

    async def started(self, conversation_id: str, message_id: str) -> None:
        self._seen.add("started", "")

    async def thinking(self, delta: str) -> None:
        self._seen.add("thinking", delta)

    async def text(self, delta: str) -> None:
        self._seen.add("text", delta)

    async def sources(self, citations: Sequence[Citation]) -> None:
        self._seen.add("sources", "")


async def ask_over(
    protocol: Protocol, provider: EngineProvider, seen: Seen | None = None, **arguments: object
) -> Seen:
    """Ask over one protocol; a failure is recorded, not raised."""
    seen = seen or Seen()
    ask = {"shell": _shell, "lsp": _lsp, "mcp": _mcp}[protocol]
    await ask(provider, seen, arguments)
    return seen


async def _shell(provider: EngineProvider, seen: Seen, arguments: dict[str, object]) -> None:
    async with shell(provider) as client:
        try:
            answer = await client.run("ask", arguments, _ShellProgress(seen))
        except AllmaError as exc:
            seen.failure = {"code": exc.code, "message": exc.message, "hint": exc.hint}
        else:
            seen.answer = jsonable(answer)


async def _lsp(provider: EngineProvider, seen: Seen, arguments: dict[str, object]) -> None:
    async with editor(provider) as wire:
        take = wire._take  # pyright: ignore[reportPrivateUsage]

        def listen(message: dict[str, Any]) -> None:
            take(message)
            if message.get("method") == "$/progress":
                _hear(seen, message["params"]["value"])

        wire._take = listen  # pyright: ignore[reportPrivateUsage]
        named = {to_camel(name): value for name, value in arguments.items()}
        answer = await wire.request("allma/ask", named | {"partialResultToken": "p"})
    if "error" in answer:
        seen.failure = answer["error"]["data"]
        return
    result = answer["result"]
    seen.answer = {**result, "conversation_id": result["conversationId"]}


def _hear(seen: Seen, value: dict[str, Any]) -> None:
    kind = str(value["kind"])
    text = str(value.get("text") or value.get("message") or "")
    seen.add("text" if kind == "chunk" else kind, text)


async def _mcp(provider: EngineProvider, seen: Seen, arguments: dict[str, object]) -> None:
    async with legacy(provider) as wire:
        take = wire._take  # pyright: ignore[reportPrivateUsage]
        last = 0.0

        def listen(message: dict[str, Any]) -> None:
            nonlocal last
            take(message)
            if message.get("method") != "notifications/progress":
                return
            params = message["params"]
            if "message" not in params:
                seen.add("started", "")
            else:
                # Text advances the number by one, a status by less.
                is_text = params["progress"] - last > 0.5
                seen.add("text" if is_text else "status", params["message"])
            last = params["progress"]

        wire._take = listen  # pyright: ignore[reportPrivateUsage]
        answer = await wire.call("ask", token="t", **arguments)
    data = answer["result"]["structuredContent"]
    if answer["result"].get("isError"):
        seen.failure = data
    else:
        seen.answer = data
