import io
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import archive
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.secrets import mask_extract
from allma_server.types import Extract
from tests.unit.documents.office_files import package, row, xlsx
from tests.unit.documents.pdf_files import pdf_with_pages


def read(data: bytes, name: str = "a.zip") -> Extract:
    return archive.read(data, PurePath(name))


def tar(files: Mapping[str, bytes], mode: str = "w:gz", *more: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:  # pyright: ignore[reportArgumentType, reportCallIssue]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        for info in more:
            made.addfile(info)
    return file.getvalue()


def test_an_archive_that_unpacks_itself_is_read() -> None:
    program = b"MZ" + bytes(5_000)
    extract = read(program + package({"a.txt": b"The needle lies in the haystack."}))
    assert "needle" in extract.text
    nested = tar({"b.zip": package({"a.txt": b"The needle lies in the haystack."})}, "w")
    assert extract.metadata == read(nested, "a.tar").metadata


FILES = {
    "b/notes.md": b"# Plan\n\nBuy a red lighthouse.\n",
    "b/report.pdf": pdf_with_pages("first page", "second page"),
    "sheets/cities.xlsx": xlsx({"Cities": row(2, "Rome", "48")}),
    "photo.png": b"\x89PNG",
    "node_modules/x/index.js": b"let hidden = 1",
    ".env": b"SECRET=1",
}


@pytest.mark.parametrize("data", [package(FILES), tar(FILES), tar(FILES, "w:xz"), tar(FILES, "w")])
def test_members_are_read_below_their_paths(data: bytes) -> None:
    extract = read(data)
    found = {s.heading: extract.text[s.start : s.end].strip() for s in extract.sections}
    unread = found.pop(("Members that were not read",))
    assert found == {
        ("b/notes.md", "Plan"): "# Plan\n\nBuy a red lighthouse.",
        ("b/report.pdf, page 1",): "first page",
        ("b/report.pdf, page 2",): "second page",
        ("sheets/cities.xlsx", "Cities"): "Rome | 48",
    }
    assert ".env (looks like a secret" in unread and "photo.png (a .png file" in unread
    assert "node_modules" not in unread
    assert extract.metadata == {"members": "5", "members_read": "3"}


def test_a_chunk_has_text_of_one_member() -> None:
    data = package({"a.md": b"# One\n\nShort.\n", "b.md": b"# Two\n\nAlso.\n", "c.png": b"x"})
    found = [(c.heading[0], c.text) for c in chunk(read(data), "", ChunkSettings())]
    assert found[:2] == [("a.md", "# One\n\nShort."), ("b.md", "# Two\n\nAlso.")]
    assert found[2][0] == "Members that were not read"


def test_secrets_inside_members_are_masked() -> None:
    data = package({"a.txt": b"see below\n" * 30 + b"password: Xk97fQz7Lm2pV\n"})
    assert "Xk97fQz7Lm2pV" not in mask_extract(read(data)).text


def test_archives_in_archives_are_read_to_a_limit() -> None:
    innermost = package({"deep.txt": b"too deep"})
    inner = package({"x.zip": innermost, "near.txt": b"near enough"})
    text = read(package({"inner.zip": inner})).text
    assert "near enough" in text and "too deep" not in text
    assert "x.zip (it is in too many archives)" in text


def test_links_and_paths_out_of_the_archive_are_refused() -> None:
    link = tarfile.TarInfo("link.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    files = {"ok.txt": b"fine", "../up.txt": b"up", "/abs.txt": b"abs", "C:\\win.txt": b"win"}
    text = read(tar(files, "w", link)).text
    assert text.startswith("fine")
    for name in ("../up.txt", "abs.txt", "C:/win.txt"):
        assert f"{name} (its path leads out of the archive)" in text
    assert "link.txt (a link; links are not followed)" in text
    assert not {"up", "abs", "win"} & set(text.split())


def encrypted() -> bytes:
    data = bytearray(package({"a.txt": b"hidden"}))
    for head in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        data[head] |= 1
    return bytes(data)


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.txt", bytes(30 << 20))
    return file.getvalue()


def endless() -> bytes:
    info = tarfile.TarInfo("endless.txt")
    info.size = 1 << 40
    return info.tobuf() + bytes(1024)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encrypted(), "None of its 1 files can be read: a.txt .a password is needed"),
        (package({"a.txt": b"x"})[:-40], "damaged"),
        (b"no archive at all" * 100, "not an archive"),
        (tar({"a.txt": b"x" * 9000}, "w")[:3000], "damaged|unexpected"),
        (tar({"zeros.txt": bytes(30 << 20)}), "unpacks to too much"),
        (endless(), "unpacks to too much"),
        (bomb(), "bomb.txt .more than 8 MB"),
        (package({"e/": b""}), "no files to read"),
    ],
    # The default ids have the times that the archives carry, which differ between test processes.
    ids=["password", "cut", "text", "cut-tar", "zeros", "endless", "bomb", "folder"],
)
def test_unreadable_archives_have_a_reason(
    data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 8 << 20)
    began = time.process_time()
    with pytest.raises(UnreadableDocument, match=reason):
        read(data)
    assert time.process_time() - began < 5


def test_the_number_of_members_and_the_time_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    data = package({f"{i}.txt": b"text" for i in range(5)})
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert read(data).metadata == {"members": "5", "members_read": "3"}
    monkeypatch.setattr(archive, "_CPU_SECONDS", -1e9)
    with pytest.raises(NothingToIndex, match="takes too long"):
        read(data)


def test_what_was_read_before_the_damage_is_kept() -> None:
    whole = tar({"a.txt": b"kept text", "b.txt": b"x" * 9000}, "w")
    text = read(whole[:3000]).text
    assert "kept text" in text and "Not read:" in text
