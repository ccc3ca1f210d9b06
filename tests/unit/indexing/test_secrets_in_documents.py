"""Secrets in documents do not reach the index, clients or models."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import docx
import pytest

from allma_server.config import Config
from allma_server.engine import DATABASE, Engine, import_data, open_engine
from allma_server.errors import DocumentNotFound
from allma_server.ports import ChatModels
from allma_server.types import ChatMessage, ReplyEvent
from tests.unit.documents.pdf_files import pdf_with_pages
from tests.unit.indexing.test_forgetting import traces
from tests.unit.indexing.test_ingestion import do, index
from tests.unit.secrets.samples import PASSWORDS, PROVIDERS, drawn, private_key

GITHUB, AWS, STRIPE = PROVIDERS["github"], PROVIDERS["aws"], PROVIDERS["stripe"]
PASSWORD = PASSWORDS[0]
KEY = private_key()
KEY_LINES = KEY.split("\n")[1:-1]
NEEDLES = [s.encode() for s in (GITHUB, AWS, STRIPE, PASSWORD, *KEY_LINES)]


def word_file(*paragraphs: str) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    file = BytesIO()
    document.save(file)
    return file.getvalue()


def notebook(source: str) -> str:
    cell = {"cell_type": "code", "source": source, "outputs": [], "metadata": {}}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a secret in each of its formats; its documents speak of harbours."""
    folder = tmp_path / "project"
    folder.mkdir()
    texts = {
        "notes.txt": f"How to enter the harbour.\n\nThe token is {GITHUB} for now.\n\nEnd.\n",
        "key.md": f"# Harbour key\n\nUse this:\n\n{KEY}\n\nThe harbour is open at dawn.\n",
        "settings.py": f'HARBOUR = "Port Ellis"\nKEY = "{AWS}"\nDB_PASSWORD = "{PASSWORD}"\n',
        "run.ipynb": notebook(f"# harbour fees\nstripe.key = '{STRIPE}'\n"),
        "app.json": json.dumps({"harbour": "Port Ellis", "password": PASSWORD}, indent=1),
        "page.html": f"<h1>Harbour page</h1><p>The harbour token is {GITHUB} today.</p>",
        "plain.md": "# Plain\n\nNothing of the harbour is hidden here.\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "fees.pdf").write_bytes(pdf_with_pages(f"Harbour fees\npassword: {PASSWORD}\nEnd"))
    (folder / "fees.docx").write_bytes(word_file("Harbour fees", f"api_key = {STRIPE}"))
    (folder / "deploy.txt").write_text(KEY)
    (folder / "prod.env").write_text(f"TOKEN={GITHUB}\n")
    return folder


class Listening:
    """Chat models that keep what they are told."""

    def __init__(self, models: ChatModels) -> None:
        self._models = models
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)

    async def stream(
        self, model: str, messages: Sequence[ChatMessage], **options: Any
    ) -> AsyncGenerator[ReplyEvent]:
        self.told += [message.content for message in messages]
        async for part in self._models.stream(model, messages, **options):
            yield part


async def test_no_secret_of_a_document_is_stored_found_or_shown(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as opened:
        listening = Listening(opened.chat)
        engine = replace(opened, chat=listening)
        await index(engine, folder)
        said: list[str] = []
        for name in ("notes.txt", "key.md", "settings.py", "run.ipynb", "app.json", "page.html",
                     "fees.pdf", "fees.docx"):  # fmt: skip
            shown = await do(engine, "read", source=str(folder / name))
            assert "[secret: " in shown.text, name
            said.append(shown.text)
        for query in ("harbour", "token", "password", GITHUB, KEY_LINES[0]):
            said.append(repr((await do(engine, "search", query=query, top_k=50)).passages))
        await do(engine, "ask", question="What is the harbour's token?", top_k=50)
        said += listening.told
        secrets = [needle.decode() for needle in NEEDLES]
        assert listening.told and "harbour" in said[-1].lower()
        # What was asked for by the user is the user's.
        found = [s for s in secrets for text in said if s in text]
        assert found == []
        documents = (await do(engine, "documents", limit=100)).documents
        states = {Path(d.path).name: (d.state, d.reason) for d in documents}
    assert states["settings.py"] == ("indexed", "2 secrets masked")
    assert states["key.md"] == ("indexed", "1 secret masked")
    assert states["plain.md"] == ("indexed", None)
    for name in ("deploy.txt", "prod.env"):
        state, reason = states[name]
        assert state == "skipped" and "secret" in (reason or "")
    assert traces(config.data_dir, NEEDLES) == []


async def test_lines_around_a_secret_keep_their_numbers(engine: Engine, folder: Path) -> None:
    await index(engine, folder)
    [passage] = (await do(engine, "search", query="open at dawn", top_k=1)).passages
    lines = (folder / "key.md").read_text().split("\n")
    assert "open at dawn" in lines[passage.end_line - 1]
    whole = (await do(engine, "read", source=str(folder / "key.md"))).text.split("\n")
    assert len(whole) == len(lines) - 1 and whole[-1] == lines[-2]


@pytest.mark.parametrize("start", [6, 9, 15])
async def test_a_part_of_a_key_is_masked_like_the_whole(
    engine: Engine, folder: Path, start: int
) -> None:
    await index(engine, folder)
    shown = await do(
        engine, "read", source=str(folder / "key.md"), start_line=start, end_line=start + 1
    )
    assert shown.start_line == start
    assert not any(line in shown.text for line in KEY_LINES), shown.text


async def test_a_key_added_after_indexing_is_masked(engine: Engine, folder: Path) -> None:
    await index(engine, folder)
    before = "x = 1\n" * 3000
    (folder / "settings.py").write_text(f'{before}K = """{KEY}"""\nafter = 2\n')
    shown = await do(
        engine, "read", source=str(folder / "settings.py"), start_line=3006, end_line=3015
    )
    assert not any(line in shown.text for line in KEY_LINES)
    assert shown.text.split("\n")[-1] == "after = 2"


async def test_lines_far_from_the_name_of_a_secret_are_masked(engine: Engine, folder: Path) -> None:
    rows = "\n".join(f"bob{n},{n},{PASSWORD}" for n in range(3000))
    (folder / "hosts.csv").write_text(f"host,port,password\n{rows}\n")
    key = {"d": drawn(43), "n": drawn(86), "kty": "RSA"}
    (folder / "jwk.json").write_text(json.dumps(key, indent=1))
    await index(engine, folder)
    shown = await do(
        engine, "read", source=str(folder / "hosts.csv"), start_line=2000, end_line=2001
    )
    assert shown.text.startswith("bob1998,1998,[secret") and shown.text.count("\n") == 1
    shown = await do(engine, "read", source=str(folder / "jwk.json"), start_line=2, end_line=2)
    assert "[secret: private key]" in shown.text and "\n" not in shown.text


async def test_imported_text_is_masked_when_shown(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    origin = config.model_copy(update={"data_dir": tmp_path / "origin", "mask_secrets": False})
    archive = tmp_path / "copy.allma"
    async with open_engine(origin) as engine:
        await index(engine, folder)
        await do(engine, "ask", question="What is the token for now to enter the harbour?")
        await do(engine, "export", path=str(archive))
    await import_data(str(archive), config.data_dir, replace=False)
    async with open_engine(config) as opened:
        engine = replace(opened, chat=(listening := Listening(opened.chat)))
        said: list[str] = []
        for query in ("harbour", "token", "password"):
            result = await do(engine, "search", query=query, top_k=50)
            assert result.passages
            said.append(repr(result))
        for name in ("notes.txt", "settings.py", "fees.docx"):
            said.append((await do(engine, "read", source=str(folder / name))).text)
        [known] = (await do(engine, "conversations.list")).conversations
        asked = await do(engine, "ask", question="And the fees?", conversation_id=known.id)
        said += [repr(asked), repr(await do(engine, "conversations.show", id=known.id))]
        said.append(repr(await do(engine, "conversations.export", id=known.id)))
        said += listening.told
    assert "[secret: " in repr(said)
    assert [s for s in (GITHUB, AWS, STRIPE, PASSWORD) for text in said if s in text] == []


async def test_masking_can_be_switched_off_and_on_again(config: Config, folder: Path) -> None:
    off = config.model_copy(update={"mask_secrets": False})
    async with open_engine(off) as engine:
        await index(engine, folder)
        await do(engine, "ask", question="What is the token for now to enter the harbour?")
        shown = await do(engine, "read", source=str(folder / "notes.txt"))
        assert GITHUB in shown.text
        assert traces(config.data_dir, NEEDLES)
    async with open_engine(config) as engine:
        await do(engine, "sync")
        documents = (await do(engine, "documents", limit=100)).documents
        states = {Path(d.path).name: d.state for d in documents}
        assert states["deploy.txt"] == "skipped"
        await engine.ingestion.wait_until_erased()
    assert traces(config.data_dir, NEEDLES) == []


async def test_a_file_that_now_counts_as_secret_is_removed_from_the_index(
    config: Config, folder: Path
) -> None:
    before, after = folder / "prod.txt", folder / "prod.env"
    after.unlink()
    before.write_text("HARBOUR=zyxomma\n")
    async with open_engine(config) as engine:
        await index(engine, folder)
        assert "zyxomma" in (await do(engine, "read", source=str(before))).text
    # As an earlier version left it, which did not know this name.
    with sqlite3.connect(config.data_dir / DATABASE) as database:
        database.execute("UPDATE documents SET path = replace(path, 'prod.txt', 'prod.env')")
        database.execute("UPDATE workspaces SET rules = '0.0.1' || substr(rules, 6)")
    database.close()
    before.rename(after)
    async with open_engine(config) as engine:
        await do(engine, "sync")
        with pytest.raises(DocumentNotFound):
            await do(engine, "read", source=str(after))
        assert "zyxomma" not in repr((await do(engine, "search", query="zyxomma")).passages)
