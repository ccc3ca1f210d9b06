"""A principal without a right is refused in every protocol, and nothing is read for it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from allma_server.engine import Engine
from allma_server.errors import PermissionDenied
from allma_server.operations import BY_NAME, OPERATIONS, Call, Operation
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import serve_lsp
from allma_server.protocols.mcp import serve_mcp
from allma_server.types import LOCAL, Principal, Right
from tests.protocol.wire import Frames, Lines, connected, envelope, shell

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = Principal("nobody")
NO_ENGINE = cast(Engine, None)
"""Any use of it would raise AttributeError."""


def only(*rights: Right) -> Principal:
    return Principal("reader", frozenset(rights))


@asynccontextmanager
async def editor(provider: EngineProvider, principal: Principal) -> AsyncGenerator[Frames]:
    serve = partial(serve_lsp, provider, client=ClientContext(principal))
    async with connected(serve) as (reader, writer, _):
        wire = Frames(reader, writer)
        await wire.initialize()
        yield wire


@asynccontextmanager
async def assistant(
    provider: EngineProvider, principal: Principal, **capabilities: Any
) -> AsyncGenerator[Lines]:
    serve = partial(serve_mcp, provider, client=ClientContext(principal))
    async with connected(serve) as (reader, writer, _):
        wire = Lines(reader, writer)
        await wire.initialize(capabilities=capabilities)
        yield wire


@pytest.mark.invariant(20)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_every_operation_checks_the_right_before_arguments_and_engine(
    operation: Operation,
) -> None:
    with pytest.raises(PermissionDenied, match=f"may not use {operation.name}") as refused:
        await operation(Call(NO_ENGINE, NOBODY), {"no": "argument"})
    assert refused.value.hint and f"{operation.needs.value!r}" in refused.value.hint
    operation.authorize(only(operation.needs))
    operation.authorize(LOCAL)


async def test_an_operation_that_declares_no_right_is_for_administrators() -> None:
    async def secret(call: Call) -> None: ...

    operation = Operation("secret", secret)
    with pytest.raises(PermissionDenied):
        operation.authorize(only(*set(Right) - {Right.ADMIN}))
    operation.authorize(only(Right.ADMIN))


async def test_the_shell_is_refused(provider: EngineProvider, notes: Path) -> None:
    async with shell(provider, principal=only(Right.SEARCH)) as client:
        with pytest.raises(PermissionDenied, match="reader may not use read") as refused:
            await client.run("read", {"source": str(notes / "glacier.md")})
        assert refused.value.hint == "Ask an administrator for the right 'read'."
        assert (await client.run("search", {"query": "glacier"})).passages


async def test_an_editor_is_refused(provider: EngineProvider, notes: Path) -> None:
    async with editor(provider, only(Right.SEARCH)) as wire:
        for answer in (
            await wire.request("allma/read", {"source": str(notes / "glacier.md")}),
            await wire.answer(wire.begin_command("allma.documents")),
            await wire.request("allma/content", {"uri": "allma://document/1"}),
            await wire.request("workspace/textDocumentContent", {"uri": "allma://answer/1"}),
        ):
            assert answer["error"]["data"]["code"] == "permission_denied"
            assert answer["error"]["data"]["hint"]
            assert "glacier" not in json.dumps(answer)
        assert (await wire.result("allma/search", {"query": "glacier"}))["passages"]


async def test_an_editors_files_are_not_followed_without_the_right(
    provider: EngineProvider, engine: Engine, tmp_path: Path
) -> None:
    async with editor(provider, only(Right.READ)) as wire:
        await wire.result("allma/status")
        wire.notify("workspace/didChangeWorkspaceFolders", {
            "event": {"added": [{"uri": tmp_path.as_uri(), "name": "new"}], "removed": []}
        })  # fmt: skip
        reported = await wire.note(lambda note: note["method"] == "window/logMessage")
    assert "may not use ingest" in reported["params"]["message"]
    status = await BY_NAME["status"](Call(engine, LOCAL), {})
    assert str(tmp_path) not in {workspace.path for workspace in status.workspaces}


async def test_an_ai_client_is_refused(provider: EngineProvider, notes: Path) -> None:
    async with assistant(provider, only(Right.SEARCH)) as wire:
        refused = await wire.tool("read", source=str(notes / "glacier.md"))
        assert refused["isError"]
        assert refused["structuredContent"]["code"] == "permission_denied"
        assert "'read'" in refused["content"][0]["text"]
        path = {"name": "path", "value": "gl"}
        prompt = {"type": "ref/prompt", "name": "summarize_document"}
        for method, params in (
            ("resources/list", {}),
            ("resources/read", {"uri": "allma://status"}),
            ("resources/subscribe", {"uri": "allma://document/1"}),
            ("prompts/get", {"name": "summarize_document", "arguments": {"path": "glacier.md"}}),
            ("completion/complete", {"ref": prompt, "argument": path}),
        ):
            answer = await wire.request(method, params)
            assert answer["error"]["data"]["code"] == "permission_denied", method
            assert "glacier.md" not in json.dumps(answer)
        found = await wire.tool("search", query="glacier")
        assert found["structuredContent"]["passages"]


async def test_a_modern_client_cannot_subscribe_without_the_right_to_read(
    provider: EngineProvider,
) -> None:
    serve = partial(serve_mcp, provider, client=ClientContext(NOBODY))
    async with connected(serve) as (reader, writer, _):
        wire = Lines(reader, writer)
        wanted = {"resourceSubscriptions": ["allma://conversation/1"]}
        answer = await wire.request(
            "subscriptions/listen", {"notifications": wanted, "_meta": envelope()}
        )
    assert answer["error"]["data"]["code"] == "permission_denied"


async def test_a_user_is_not_asked_to_confirm_what_is_not_permitted(
    provider: EngineProvider, engine: Engine
) -> None:
    asked = await BY_NAME["ask"](Call(engine, LOCAL), {"question": "A secret title?"})
    async with assistant(provider, only(Right.READ), elicitation={}) as wire:
        refused = await wire.tool("conversations", action="delete", id=asked.conversation_id)
        assert not wire.asked
    assert refused["structuredContent"]["code"] == "permission_denied"
    assert "secret title" not in json.dumps(refused)
    shown = await BY_NAME["conversations.show"](Call(engine, LOCAL), {"id": asked.conversation_id})
    assert shown.messages
