"""Open a document that is a ZIP package of XML parts (Office Open XML, OpenDocument, EPUB).

Parts are read from memory only. Nothing that a part refers to outside the package is opened, and
entities are not expanded.
"""

import posixpath
import zipfile
import zlib
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from allma_server.documents.readers.elements import name
from allma_server.errors import NothingToIndex, UnreadableDocument

etree: Any = import_module("lxml.etree")

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How files of the older binary Office formats begin."""

UNPACKED_LIMIT = 256 << 20
"""Bytes to which the parts of a package together may unpack."""

_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, OSError)
PASSWORD = "A password is needed to open the document."

# lxml has no type annotations.
_Element = Any


def check_package(data: bytes, kind: str, suffix: str) -> None:
    """Raise unless `data` is a package of plausible size; `kind` names the format, as in "a Word".

    Raises:
        NothingToIndex: it is empty.
        UnreadableDocument: it is encrypted, damaged, of another format, or unpacks to too much.
    """
    if not data:
        raise NothingToIndex("The file is empty.")
    if data.startswith(OLE):
        check_password(data)
        raise UnreadableDocument(
            "It is in an old binary format of Office.", f"Save it as {suffix} to have it indexed."
        )
    if not data.startswith(b"PK"):
        raise UnreadableDocument(f"It is not {kind} document, although its name says so.")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except _DAMAGED as exc:
        raise UnreadableDocument(f"The document is damaged: {exc}.") from exc
    if unpacked > UNPACKED_LIMIT:
        raise UnreadableDocument(f"It unpacks to {unpacked >> 20} MB, which is not plausible.")


def check_password(data: bytes) -> None:
    """Raise UnreadableDocument if an OLE file is the envelope of an encrypted package."""
    if _ENCRYPTED in data:
        raise UnreadableDocument(PASSWORD)


class ZipPackage:
    """The parts of a package, by name. Raises as `check_package`."""

    def __init__(self, data: bytes, kind: str, suffix: str) -> None:
        check_package(data, kind, suffix)
        self._archive = zipfile.ZipFile(BytesIO(data))
        self.names = frozenset(self._archive.namelist())
        self._relations: dict[str, dict[str, tuple[str, str]]] = {}

    def read(self, part: str) -> bytes:
        """Return the content of a part.

        Raises:
            UnreadableDocument: it is missing, damaged or encrypted.
        """
        if part not in self.names:
            raise UnreadableDocument(f"The document is damaged: it has no part {part[:100]!r}.")
        try:
            return self._archive.read(part)
        except RuntimeError as exc:
            raise UnreadableDocument(PASSWORD) from exc
        except _DAMAGED as exc:
            raise UnreadableDocument(f"The document is damaged: {exc}.") from exc

    def root(self, part: str) -> _Element:
        """Return the root element of an XML part; None if the package has no such part.

        Raises:
            UnreadableDocument: it is not well-formed, or damaged.
        """
        return parse_part(self.read(part)) if part in self.names else None

    def related(self, part: str, kind: str) -> list[str]:
        """Return the parts that `part` refers to by a relationship of this kind (its last word)."""
        return [target for target, each in self._targets(part).values() if each == kind]

    def target(self, part: str, relation: str) -> str:
        """Return the part that a relationship of `part` refers to; empty if there is none."""
        return self._targets(part).get(relation, ("", ""))[0]

    def properties(self) -> dict[str, str]:
        """Return what an Office document declares, such as its `title`, `creator`, `language`."""
        for part in self.related("", "core-properties"):
            root = self.root(part)
            return {name(each): each.text or "" for each in (root if root is not None else ())}
        return {}

    def _targets(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the relationships inside the package: the part and the kind by their ids."""
        if part not in self._relations:
            folder, file = posixpath.split(part)
            root = self.root(posixpath.join(folder, "_rels", f"{file}.rels"))
            self._relations[part] = {
                each.get("Id", ""): (
                    resolve(folder, each.get("Target", "")),
                    each.get("Type", "").rpartition("/")[2],
                )
                for each in (root if root is not None else ())
                if each.get("TargetMode") != "External"
            }
        return self._relations[part]


def resolve(folder: str, target: str) -> str:
    """Return the name of the part that `target` is, seen from `folder`; it stays in the package."""
    path = unquote(target.partition("#")[0])
    joined = posixpath.normpath(posixpath.join("/", folder, path))
    return joined.lstrip("/")


def parse_part(data: bytes) -> _Element:
    """Return the root element of an XML part.

    Raises:
        UnreadableDocument: it is not well-formed.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError) as exc:
        raise UnreadableDocument(f"A part of the document is damaged: {exc}.") from exc
