"""Forwarders and the daemon they share, as real processes."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from allma_server.daemon.remote import daemon_status
from allma_server.locations import build_stamp, data_dir, meeting_place
from allma_server.model import DaemonClient, DaemonStatus
from tests.e2e.program import program
from tests.protocol.wire import Frames, Lines, envelope


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")


async def daemon_pid(client: Lines) -> int:
    return (await client.tool("status"))["structuredContent"]["pid"]


async def test_racing_clients_of_both_protocols_and_eras_share_one_daemon(folder: Path) -> None:
    async def legacy() -> int:
        async with program("mcp") as (client, _):
            await client.initialize()
            return await daemon_pid(client)

    async def modern() -> int:
        async with program("mcp") as (client, _):
            result = await client.result(
                "tools/call", {"name": "status", "arguments": {}, "_meta": envelope()}
            )
            return result["structuredContent"]["pid"]

    async def editor() -> int:
        async with program("lsp", wire=Frames) as (client, _):
            await client.initialize()
            return (await client.result("allma/status"))["pid"]

    async with asyncio.TaskGroup() as group:
        racing = [group.create_task(kind()) for kind in (legacy, modern, editor) * 2]
    assert len({task.result() for task in racing}) == 1


async def test_what_one_client_indexes_another_finds(folder: Path) -> None:
    async with program("mcp") as (one, _), program("lsp", wire=Frames) as (two, _):
        await one.initialize()
        await two.initialize()
        await one.tool("index", action="add", path=str(folder))
        found = await two.result("allma/search", {"query": "salty sea"})
        assert found["passages"][0]["path"] == str(folder / "sea.md")


async def test_a_conversation_begun_in_an_editor_is_continued_by_an_ai_client() -> None:
    async with program("lsp", wire=Frames) as (editor, _), program("mcp") as (agent, _):
        await editor.initialize()
        await agent.initialize()
        began = await editor.result("allma/ask", {"question": "one", "useRag": False})
        id = began["conversationId"]
        await agent.tool("ask", question="two", conversation_id=id, use_rag=False)
        shown = await editor.result("allma/conversations.show", {"id": id})
        assert [m["content"] for m in shown["messages"] if m["role"] == "user"] == ["one", "two"]


async def test_a_saved_file_is_found_without_being_asked_for(folder: Path) -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        (folder / "moon.md").write_text("The moon pulls the tides.\n")
        async with asyncio.timeout(10):
            while True:
                found = (await client.tool("search", query="moon tides"))["structuredContent"]
                if any(p["path"].endswith("moon.md") for p in found["passages"]):
                    break


async def test_a_killed_daemon_is_followed_by_a_new_one_and_the_client_goes_on(
    folder: Path,
) -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        first = await daemon_pid(client)
        os.kill(first, signal.SIGKILL)
        found = (await client.tool("search", query="salty"))["structuredContent"]
        assert found["passages"][0]["path"] == str(folder / "sea.md")
        assert await daemon_pid(client) != first


async def test_a_question_under_way_when_the_daemon_dies_is_answered_with_an_error() -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        pid = await daemon_pid(client)
        asking = client.begin_call(
            "ask", "token", question="x " * 2000, use_rag=False, model="slow"
        )
        await client.note(lambda note: note["method"] == "notifications/progress")
        os.kill(pid, signal.SIGKILL)
        answer = await client.answer(asking)
        assert "started again" in answer["error"]["message"]
        shown = (await client.tool("conversations", action="list"))["structuredContent"]
        assert shown["total"] == 1, "the question is kept"


async def test_what_the_user_agrees_to_after_the_daemon_was_killed_is_done() -> None:
    def call(tool: str, **arguments: str) -> dict[str, Any]:
        return {"name": tool, "arguments": arguments, "_meta": envelope(elicitation={})}

    async with program("mcp") as (client, _):
        said = await client.result("tools/call", call("ask", question="How deep is the sea?"))
        id = said["structuredContent"]["conversation_id"]
        first = await client.result("tools/call", call("status"))
        delete = call("conversations", action="delete", id=id)
        [key] = (await client.result("tools/call", delete))["inputRequests"]
        os.kill(first["structuredContent"]["pid"], signal.SIGKILL)
        second = await client.result("tools/call", call("status"))
        assert second["structuredContent"]["pid"] != first["structuredContent"]["pid"]
        answers = {key: {"action": "accept", "content": {}}}
        deleted = await client.result("tools/call", delete | {"inputResponses": answers})
        assert "is deleted" in deleted["content"][0]["text"]


async def test_an_editor_goes_on_after_the_daemon_was_killed(folder: Path) -> None:
    async with program("lsp", wire=Frames) as (client, _):
        await client.initialize(folders=(str(folder),))
        pid = (await client.result("allma/status"))["pid"]
        os.kill(pid, signal.SIGKILL)
        assert (await client.result("allma/status"))["pid"] != pid


async def test_a_client_of_another_build_gets_a_daemon_of_its_own() -> None:
    async with program("mcp") as (old, _):
        await old.initialize()
        first = await daemon_pid(old)
        place = meeting_place(data_dir())
        with socket.socket(socket.AF_UNIX) as newer:
            newer.connect(str(place))
            newer.sendall(json.dumps({"door": "mcp", "stamp": "newer"}).encode() + b"\n")
            assert json.loads(newer.recv(1000))["ok"] is False
        # The old client is still served while the place is free for the successor.
        assert await daemon_pid(old) == first
        async with asyncio.timeout(10):
            while place.exists():
                await old.tool("status")
    async with program("mcp") as (new, _):
        await new.initialize()
        assert await daemon_pid(new) != first


async def test_the_daemon_leaves_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_IDLE_MINUTES", "0.01")
    async with program("mcp") as (client, _):
        await client.initialize()
        pid = await daemon_pid(client)
    await asyncio.to_thread(psutil.Process(pid).wait, 20)
    assert not meeting_place(data_dir()).exists()


async def test_a_probe_opens_no_index() -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        assert not data_dir().exists()


async def test_the_meeting_place_is_the_user_s_alone() -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        place = meeting_place(data_dir())
        assert stat.S_IMODE(place.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None])
async def test_a_forwarder_ends_at_once_and_well(number: signal.Signals | None) -> None:
    async with program("mcp") as (client, process):
        await client.initialize()
        if number is None:
            client.writer.close()
        else:
            process.send_signal(number)
        async with asyncio.timeout(2):
            assert await process.wait() == 0


@pytest.mark.parametrize(("politely", "status"), [(True, 0), (False, 1)])
async def test_an_editor_s_exit_has_the_status_the_protocol_wants(
    politely: bool, status: int
) -> None:
    async with program("lsp", wire=Frames) as (client, process):
        await client.initialize()
        if politely:
            await client.result("shutdown")
        client.notify("exit")
        async with asyncio.timeout(5):
            assert await process.wait() == status


async def test_without_a_usable_socket_the_engine_runs_in_the_client_s_process(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (isolated / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(isolated / "file"))
    async with program("mcp") as (client, process):
        await client.initialize()
        assert await daemon_pid(client) == process.pid


async def test_the_shell_uses_the_daemon_that_runs(folder: Path) -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        pid = await daemon_pid(client)
        shell = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "allma_server", "index", str(folder), "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await shell.communicate()
        assert shell.returncode == 0 and json.loads(out)["indexed"] == 1
        found = (await client.tool("search", query="salty"))["structuredContent"]
        assert found["passages"] and await daemon_pid(client) == pid


async def test_a_greeting_tells_who_serves() -> None:
    async with program("mcp") as (client, process):
        await client.initialize()
        said = await daemon_status(data_dir())
        assert said.running and said.build == build_stamp()
        assert said.clients == [DaemonClient("mcp", process.pid)]


async def test_nothing_is_started_to_ask_whether_a_daemon_runs() -> None:
    assert await daemon_status(data_dir()) == DaemonStatus(running=False)


async def test_the_shell_stops_and_restarts_the_daemon() -> None:
    async def daemon(action: str) -> dict[str, Any]:
        shell = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "allma_server", "daemon", action, "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await shell.communicate()
        assert shell.returncode == 0
        return json.loads(out)

    assert (await daemon("restart"))["running"] is True
    assert (await daemon("status"))["running"] is True
    assert (await daemon("stop"))["running"] is False
    assert (await daemon("status"))["running"] is False
