"""EPUB: the chapters of a book in reading order, in sections that follow their headings."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from allma_server.documents.builder import Outline
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.elements import attribute, children, name
from allma_server.documents.readers.html import page_blocks, write_blocks
from allma_server.documents.readers.zip_package import ZipPackage, resolve
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_FONT_OBFUSCATION = re.compile(r"obfuscation|font", re.I)
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})

# lxml has no type annotations.
_Element = Any


@dataclass(frozen=True, slots=True)
class _Book:
    """What the package document declares; `pages` are the names of parts in reading order."""

    pages: list[str]
    table_of_contents: list[str]
    metadata: dict[str, str]


def read(data: bytes, path: PurePath) -> Extract:
    """Read an EPUB 2 or 3; nothing that its pages link to is fetched, and no script in them runs.

    A page without a heading gets the title that the table of contents has for it.
    """
    package = ZipPackage(data, "an EPUB", ".epub")
    _check_protection(package)
    book = _book(package)
    labels = _labels(package, book.table_of_contents)
    outline = Outline()
    unread = [page for page in book.pages if not _add_page(outline, package, page, labels)]
    if unread and len(unread) < len(book.pages):
        outline.add_heading(0, "Chapters that were not read")
        outline.add_paragraph("\n".join(f"{page} (it is missing or damaged)" for page in unread))
    extract = outline.build(
        "The book has no text.",
        title=book.metadata.get("title"),
        metadata={
            "author": book.metadata.get("creator", ""),
            "language": book.metadata.get("language", ""),
            "chapters": str(len(book.pages)),
        },
    )
    # Lines of the parts of a book mean nothing to people.
    return replace(extract, lines=())


def _check_protection(package: ZipPackage) -> None:
    root = package.root(_ENCRYPTION)
    for method in root.iter("{*}EncryptionMethod") if root is not None else ():
        if not _FONT_OBFUSCATION.search(attribute(method, "Algorithm")):
            raise UnreadableDocument("The book is protected (DRM), so its text cannot be read.")


def _book(package: ZipPackage) -> _Book:
    container = package.root(_CONTAINER)
    files = container.iter("{*}rootfile") if container is not None else ()
    main = next((resolve("", attribute(each, "full-path")) for each in files), "")
    root = package.root(main)
    if root is None:
        raise UnreadableDocument("It is not an EPUB: its list of contents is missing.")
    folder = posixpath.dirname(main)
    parts: dict[str, str] = {}
    pages: set[str] = set()
    contents: list[str] = []
    for item in children(root, "manifest"):
        part = resolve(folder, attribute(item, "href"))
        kind = attribute(item, "media-type")
        parts[attribute(item, "id")] = part
        if kind in _PAGES:
            pages.add(part)
        if "nav" in attribute(item, "properties").split() or kind == "application/x-dtbncx+xml":
            contents.append(part)
    spine = [parts.get(attribute(each, "idref"), "") for each in children(root, "spine")]
    metadata: dict[str, str] = {}
    for each in children(root, "metadata"):
        metadata.setdefault(name(each), each.text or "")
    read_in_order = dict.fromkeys(part for part in spine if part in pages)
    return _Book(list(read_in_order), contents, metadata)


def _labels(package: ZipPackage, contents: list[str]) -> dict[str, str]:
    """Return the first title that a table of contents has for each part."""
    labels: dict[str, str] = {}
    for part in contents:
        try:
            root = package.root(part)
        except UnreadableDocument:
            continue  # the chapters can be read without it
        folder = posixpath.dirname(part)
        for entry in root.iter("{*}navPoint", "{*}a") if root is not None else ():
            target = next((attribute(each, "src") for each in entry.iter("{*}content")), "")
            label = next(entry.iter("{*}text"), entry)
            text = " ".join("".join(label.itertext()).split())
            labels.setdefault(resolve(folder, target or attribute(entry, "href")), text)
    return labels


def _add_page(outline: Outline, package: ZipPackage, part: str, labels: Mapping[str, str]) -> bool:
    """Append a page; return whether it can be read."""
    try:
        blocks = page_blocks(decode(package.read(part)))
    except NothingToIndex:
        return True  # it is empty
    except UnreadableDocument:
        return False
    label = labels.get(part, "")
    if label and not any(block.kind == "heading" for block in blocks):
        outline.add_heading(1, label, 0)
    write_blocks(blocks, outline)
    return True
