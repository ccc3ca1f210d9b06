"""Folders and files whose names are not UTF-8, through every protocol and the daemon."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import program
from tests.protocol.wire import Frames

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems refuse names that are not UTF-8"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    monkeypatch.setenv("ALLMA_VECTOR_STORE", "exact")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Create a project whose folder and file have names that are not UTF-8."""
    folder = tmp_path / os.fsdecode(b"projet-\xe9t\xe9")
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("Coffee grows on mountains.\n")
    (folder / os.fsdecode(b"vid\xe9.txt")).touch()
    return folder


def shown(folder: Path, name: str = "") -> str:
    return str(folder.parent / "projet-%E9t%E9" / name)


async def allma(*arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "allma_server", *arguments, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return json.loads(out.decode("utf-8"))


async def test_an_ai_client_can_use_a_shown_name(odd: Path) -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        report = (await client.tool("index", action="add", path=str(odd)))["structuredContent"]
        assert report["indexed"] == 1
        assert report["skipped"] == [{"path": shown(odd, "vid%E9.txt"), "reason": "empty"}]
        found = await client.tool("search", query="coffee", workspace=shown(odd), path="caf%E9.*")
        [passage] = found["structuredContent"]["passages"]
        assert passage["path"] == shown(odd, "caf%E9.txt") and not passage["stale"]
        assert passage["path"] in found["content"][0]["text"]
        for source in (passage["path"], passage["uri"], str(passage["chunk_id"])):
            excerpt = (await client.tool("read", source=source))["structuredContent"]
            assert excerpt["text"].strip() == "Coffee grows on mountains.", source
        listed = await client.tool("documents", workspace=shown(odd))
        assert len(listed["structuredContent"]["documents"]) == 2
        resources = (await client.result("resources/list"))["resources"]
        assert shown(odd, "caf%E9.txt") in [resource["name"] for resource in resources]
        answer = await client.tool("ask", question="Where does coffee grow?")
        assert not answer.get("isError"), answer
        missing = await client.tool("read", source=shown(odd, "th%E9.txt"))
        assert missing["structuredContent"]["code"] == "document_not_found"
        gone = await client.tool("index", action="remove", path=passage["path"])
        assert gone["structuredContent"]["documents"] == 1
        assert (await client.tool("read", source=passage["path"]))["isError"]
        gone = await client.tool("index", action="remove", path=shown(odd))
        assert gone["structuredContent"]["workspace_removed"]


async def test_an_editor_can_open_such_a_folder(odd: Path) -> None:
    async with program("lsp", wire=Frames) as (client, _):
        await client.initialize(folders=(odd.as_uri().removeprefix("file://"),))
        report = await client.result("allma/ingest", {"paths": [shown(odd)]})
        assert report["indexed"] + report["unchanged"] >= 1
        found = await client.result("allma/search", {"query": "coffee"})
        [passage] = found["passages"]
        assert passage["uri"].endswith("caf%E9.txt#L1-L1")
        excerpt = await client.result("allma/read", {"source": passage["path"]})
        assert excerpt["startLine"] == 1
        uri = passage["uri"].partition("#")[0]
        client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
        forgotten = await client.result("allma/forget", {"path": passage["path"]})
        assert forgotten["documents"] == 1


async def test_the_shell_prints_and_accepts_such_names(odd: Path) -> None:
    for solo in ([], ["--solo"]):
        await allma("index", str(odd), *solo)
        found = await allma("search", "coffee", *solo)
        [passage] = found["passages"]
        assert passage["path"] == shown(odd, "caf%E9.txt")
        for name in (passage["path"], str(odd / os.fsdecode(b"caf\xe9.txt"))):
            assert (await allma("read", name, *solo))["start_line"] == 1
        await allma("forget", shown(odd), *solo)
        await allma("daemon", "stop")
