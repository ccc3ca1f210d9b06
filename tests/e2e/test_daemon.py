"""Forwarders and the daemon they share, as real processes."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from allma_server import __version__
from allma_server.daemon import control, link
from allma_server.daemon.control import daemon_status, start_daemon, stop_daemon, without_daemon
from allma_server.locations import build, data_dir, is_newer, socket_path
from allma_server.storage.lock import data_directory_owned
from allma_server.types import ConnectedClient, DaemonStatus
from tests.e2e.program import program
from tests.processes import wait_until_ended
from tests.protocol.wire import Frames, Lines, envelope


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    monkeypatch.setenv("ALLMA_VECTOR_STORE", "exact")


async def daemon_pid(client: Lines) -> int:
    return (await client.tool("status"))["structuredContent"]["pid"]


async def test_concurrent_clients_of_all_protocols_share_one_daemon(folder: Path) -> None:
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


async def test_a_saved_file_is_indexed_automatically(folder: Path) -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        (folder / "moon.md").write_text("The moon pulls the tides.\n")
        async with asyncio.timeout(10):
            while True:
                found = (await client.tool("search", query="moon tides"))["structuredContent"]
                if any(p["path"].endswith("moon.md") for p in found["passages"]):
                    break


async def test_a_killed_daemon_is_replaced_and_the_client_continues(
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


async def test_a_question_in_flight_fails_when_the_daemon_is_killed() -> None:
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


async def test_a_confirmation_is_carried_out_after_the_daemon_was_killed() -> None:
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
        assert "Deleted conversation" in deleted["content"][0]["text"]


async def test_an_editor_continues_after_the_daemon_was_killed(folder: Path) -> None:
    async with program("lsp", wire=Frames) as (client, _):
        await client.initialize(folders=(str(folder),))
        pid = (await client.result("allma/status"))["pid"]
        os.kill(pid, signal.SIGKILL)
        assert (await client.result("allma/status"))["pid"] != pid


async def test_a_client_of_a_newer_version_gets_a_new_daemon() -> None:
    async with program("mcp") as (old, _):
        await old.initialize()
        first = await daemon_pid(old)
        place = socket_path(data_dir())
        with socket.socket(socket.AF_UNIX) as newer:
            newer.connect(str(place))
            newer.sendall(
                json.dumps({"protocol": "mcp", "build": {"version": "99.1"}}).encode() + b"\n"
            )
            assert json.loads(newer.recv(1000))["ok"] is False
        # The old client is still served while the place is free for the successor.
        assert await daemon_pid(old) == first
        async with asyncio.timeout(10):
            while place.exists():
                await old.tool("status")
    async with program("mcp") as (new, _):
        await new.initialize()
        assert await daemon_pid(new) != first


async def test_an_idle_daemon_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_IDLE_MINUTES", "0.01")
    async with program("mcp") as (client, _):
        await client.initialize()
        pid = await daemon_pid(client)
    await asyncio.to_thread(wait_until_ended, pid)
    assert not socket_path(data_dir()).exists()


async def test_a_probe_opens_no_index() -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        assert not data_dir().exists()


async def test_the_socket_is_private() -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        place = socket_path(data_dir())
        assert stat.S_IMODE(place.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


async def test_a_forwarder_exits_at_once_with_status_0() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None):
        async with program("mcp") as (client, process):
            await client.initialize()
            if number is None:
                client.writer.close()
            else:
                process.send_signal(number)
            async with asyncio.timeout(2):
                assert await process.wait() == 0, number


async def test_the_exit_status_follows_the_lsp_specification() -> None:
    for politely, status in ((True, 0), (False, 1)):
        async with program("lsp", wire=Frames) as (client, process):
            await client.initialize()
            if politely:
                await client.result("shutdown")
            client.notify("exit")
            async with asyncio.timeout(5):
                assert await process.wait() == status, politely


async def test_without_a_usable_socket_the_engine_runs_in_the_client_s_process(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (isolated / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(isolated / "file"))
    async with program("mcp") as (client, process):
        await client.initialize()
        assert await daemon_pid(client) == process.pid


async def test_clients_share_the_daemon_below_a_long_home_path(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home := isolated / ("long" * 30)).mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", str(home))
    async with program("mcp") as (one, first), program("mcp") as (other, second):
        await one.initialize()
        await other.initialize()
        pid = await daemon_pid(one)
        assert pid == await daemon_pid(other) and pid not in (first.pid, second.pid)
    place = socket_path(data_dir())
    assert not (await stop_daemon(data_dir())).running
    for left in place.parent.glob(f"{place.stem}.*"):  # they are outside of what is thrown away
        left.unlink()


@pytest.mark.parametrize("second", ["another home", "no home"])
async def test_clients_of_other_homes_share_the_daemon_of_a_data_directory(
    short_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    data = str(short_path / "data")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "first"))
    async with program("mcp", "--data", data) as (one, _):
        await one.initialize()
        await one.tool("index", action="add", path=str(folder))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "second"))
        if second == "no home":
            monkeypatch.setenv("HOME", str(short_path / "none"))
        async with program("mcp", "--data", data) as (other, _):
            await other.initialize()
            assert await daemon_pid(other) == await daemon_pid(one)
        assert (await allma("daemon", "status", "--data", data))["running"] is True
        assert (await allma("daemon", "stop", "--data", data))["pid"] is not None
    assert not (short_path / "none").exists()
    assert not (short_path / "data" / "allma.socket").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows finds home folders otherwise")
@pytest.mark.parametrize(
    ("command", "home", "why"),
    [
        (["status"], "nowhere", "is not an absolute path"),
        (["config", "set", "top_k", "3"], "/nowhere/at/all", "does not exist"),
        (["lsp"], "nowhere", "is not an absolute path"),
        (["mcp", "--solo"], "/nowhere/at/all", "does not exist"),
    ],
)
async def test_a_home_folder_that_does_not_exist_is_an_error_and_is_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, why: str, command: list[str]
) -> None:
    for name in ("ALLMA_CONFIG", "ALLMA_DATA_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", home)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "allma_server", *command),
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert f"The home folder {home!r} {why}. Set HOME" in " ".join(err.decode().split())
    assert not os.listdir(tmp_path) and "nowhere" not in os.listdir("/")


async def test_the_shell_uses_the_running_daemon(folder: Path) -> None:
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


async def test_the_greeting_describes_the_daemon() -> None:
    async with program("mcp") as (client, process):
        await client.initialize()
        said = await daemon_status(data_dir())
        assert said.running and said.build == __version__
        assert said.clients == [ConnectedClient("mcp", process.pid)]


async def test_querying_the_daemon_status_starts_no_daemon() -> None:
    assert await daemon_status(data_dir()) == DaemonStatus(running=False)


async def allma(*arguments: str, package: Path | None = None) -> Any:
    """What a command of the shell prints as JSON; `package` holds another installation."""
    path = {"PYTHONPATH": str(package)} if package else {}
    shell = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "allma_server", *arguments, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **path},  # noqa: TID251
    )
    out, err = await shell.communicate()
    assert shell.returncode == 0, out + err
    return json.loads(out)


async def test_the_shell_stops_and_restarts_the_daemon() -> None:
    first = await allma("daemon", "restart")
    assert first["running"] is True
    assert (await allma("daemon", "status"))["pid"] == first["pid"]
    assert (await allma("daemon", "restart"))["pid"] != first["pid"]
    assert (await allma("daemon", "stop"))["running"] is False
    assert (await allma("daemon", "status"))["running"] is False
    assert (await allma("daemon", "stop"))["running"] is False


async def test_concurrent_shells_share_the_daemon_that_the_first_one_starts(
    folder: Path,
) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(allma("ask", "--in", str(folder), "salt?")) for _ in range(4)]
    assert all(task.result()["citations"] for task in asked)
    owner = (await allma("status"))["pid"]
    assert owner == (await daemon_status(data_dir())).pid
    await allma("daemon", "restart")
    assert (await allma("ask", "--in", str(folder), "salt?"))["citations"]
    assert (await allma("status"))["pid"] != owner


async def test_a_stop_returns_when_the_process_and_its_locks_are_gone(folder: Path) -> None:
    await allma("index", str(folder))
    pid = (await allma("status"))["pid"]
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(stop_daemon(data_dir()))
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    async with data_directory_owned(data_dir()):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
async def test_exclusive_work_stops_daemons_that_clients_start_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "BUSY_SECONDS", 300.0)  # three processes start meanwhile
    await allma("index", str(folder))
    daemons: list[int] = []

    async def work() -> str:
        if len(daemons) < 2:
            daemons.append((await allma("status"))["pid"])
        async with data_directory_owned(data_dir()):
            return "done"

    assert await without_daemon(data_dir(), work) == "done"
    assert len(set(daemons)) == 2, "each of them had to be stopped"
    assert not (await daemon_status(data_dir())).running


async def test_a_hanging_daemon_is_reported_and_killed_by_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "HANG_SECONDS", 1.0)
    monkeypatch.setattr(link, "HELLO_SECONDS", 0.5)
    pid = (await start_daemon(data_dir())).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    hanging = await daemon_status(data_dir())
    assert hanging.running and hanging.pid == pid
    assert hanging.notice and "does not answer" in hanging.notice
    stopped = await stop_daemon(data_dir())
    assert not stopped.running and stopped.notice and "was killed" in stopped.notice
    assert (await start_daemon(data_dir())).pid != pid


@contextlib.contextmanager
def listener(says: bytes, *, for_ever: bool) -> Generator[None]:
    """Something that is no daemon, in a daemon's place."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_path(data_dir())))
        server.listen()

        def speak() -> None:
            with contextlib.suppress(OSError):
                while True:
                    guests.append(server.accept()[0])
                    guests[-1].sendall(says)
                    with contextlib.suppress(OSError):
                        while for_ever:
                            guests[-1].sendall(says)

        guests: list[socket.socket] = []
        speaking = threading.Thread(target=speak)
        speaking.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            speaking.join()
            for guest in guests:
                guest.close()


@pytest.mark.skipif(sys.platform == "win32", reason="sockets have no paths")
@pytest.mark.parametrize(
    ("says", "for_ever"),
    [
        (b"x" * 5000, True),
        (b"", False),
        (b"\xff\xfe garbage\n", False),
        (b"[" * 100_000 + b"\n", False),
        (b'{"ok": false, "error": "no"}\n', False),
    ],
    ids=["endless", "mute", "no text", "nested", "no refusal"],
)
async def test_another_program_on_the_daemons_socket_is_replaced(
    says: bytes, for_ever: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "HELLO_SECONDS", 0.5)
    with listener(says, for_ever=for_ever):
        assert await daemon_status(data_dir()) == DaemonStatus(running=False)
        started = await start_daemon(data_dir())
        assert started.running
        assert (await daemon_status(data_dir())).pid == started.pid


def test_the_time_limit_applies_to_the_whole_greeting() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"x" * 10)
        with pytest.raises(TimeoutError):
            link.read_line(here, time.monotonic() + 0.05)
        with pytest.raises(TimeoutError):
            link.read_line(here, time.monotonic())


def installed(folder: Path, version: str) -> Path:
    """A copy of the package, as another installation of it."""
    place = folder / version
    shutil.copytree(Path(link.__file__).parents[1], place / "allma_server")
    init = place / "allma_server" / "__init__.py"
    init.write_text(f'"""Allma."""\n\n__version__ = "{version}"\n')
    return place


async def test_installations_of_one_version_share_a_daemon_and_a_newer_one_replaces_it(
    tmp_path: Path,
) -> None:
    same, newer = installed(tmp_path, __version__), installed(tmp_path, "0.10.1")
    first = (await allma("status"))["pid"]
    for _ in range(2):
        assert (await allma("status", package=same))["pid"] == first
        assert (await allma("status"))["pid"] == first
    successor = await allma("status", package=newer)
    assert successor["pid"] != first and successor["version"] == "0.10.1"
    for package in (None, same, newer):
        assert (await allma("status", package=package))["pid"] == successor["pid"]


async def test_an_incompatible_client_gets_the_next_step() -> None:
    await start_daemon(data_dir())
    hello = {"protocol": "shell", "wire": 0}
    with pytest.raises(link.Refused, match="cannot use") as refused:
        await asyncio.to_thread(link.connect, data_dir(), hello)
    assert refused.value.hint and "pip install -U" in refused.value.hint


@pytest.mark.parametrize(
    ("newer", "older"),
    [("0.10", "0.9.9"), ("1.0", "1.0rc1"), ("1.0rc2", "1.0rc1"), ("1.0.1", "1.0"), ("1.0", "")],
)
def test_versions_are_compared_by_their_numbers(newer: str, older: str) -> None:
    assert is_newer({"version": newer}, {"version": older})
    assert not is_newer({"version": older}, {"version": newer})
    assert not is_newer({"version": newer}, {"version": newer + ".0", "path": "elsewhere"})


def test_the_same_installation_is_newer_after_an_update() -> None:
    known = build()
    assert is_newer({**known, "modified": known["modified"] + 1}, known)
    assert not is_newer({**known, "modified": known["modified"] + 1, "path": "/x"}, known)
