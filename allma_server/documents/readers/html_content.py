"""Decide which parts of a web page are visible, and which are its content."""

import logging
import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

from allma_server.documents.readers.html_blocks import Block

_INVISIBLE = frozenset(
    "script style template noscript canvas iframe frame object embed applet audio video map "
    "datalist dialog head link meta title desc metadata defs symbol annotation annotation-xml rp "
    "noframes".split()
)
_NAVIGATION = frozenset({"nav", "aside", "footer"})
_LANDMARKS = frozenset({"navigation", "complementary", "contentinfo", "search"})
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.I)
# Classes of an aside that belongs to the text: an admonition, a footnote.
_NOTE = re.compile(
    r"\b(?:footnotes?|endnotes?|admonition\w*|notes?|tip|hint|warning|caution|important|danger|"
    r"attention|callout|example|system-message)\b",
    re.I,
)
_STRUCTURE = frozenset("article dl h1 h2 h3 h4 h5 h6 main ol p pre section table ul".split())
_MAX_DECORATION = 300

# lxml has no type annotations.
_Element = Any


def is_invisible(element: _Element, *, navigation: bool = False) -> bool:
    """Return whether an element is hidden or, without `navigation`, is navigation."""
    tag = element.tag
    if tag in _INVISIBLE:
        return True
    if _is_hidden(element) or (tag == "a" and _links_to_itself(element)):
        return True
    role = (element.get("role") or "").lower()
    if navigation or (tag not in _NAVIGATION and role not in _LANDMARKS):
        return False
    return not _is_note(element, role)


def _is_hidden(element: _Element) -> bool:
    if element.tag in ("html", "body"):
        return False  # scripts make them visible after loading
    hidden = element.get("hidden")
    if hidden is not None and hidden.lower() != "until-found":
        return True
    if (style := element.get("style")) and _HIDDEN_STYLE.search(style):
        return True
    # `aria-hidden` hides decoration, or everything while a dialog is open; only the first counts.
    return (element.get("aria-hidden") or "").lower() == "true" and _is_decoration(element)


def _is_decoration(element: _Element) -> bool:
    tags = [part.tag for part in islice(element.iter(), _MAX_DECORATION)]
    return len(tags) < _MAX_DECORATION and _STRUCTURE.isdisjoint(tags)


def _is_note(element: _Element, role: str) -> bool:
    if element.tag == "footer":
        return element.getparent().tag == "blockquote"
    if role.startswith("doc-") or role == "note":
        return True
    return element.tag == "aside" and bool(_NOTE.search(element.get("class") or ""))


def _links_to_itself(anchor: _Element) -> bool:
    """Return whether an anchor is the symbol beside a heading that links to the heading."""
    if not (anchor.get("href") or "").startswith("#"):
        return False
    text = "".join(islice(anchor.itertext(), 4)).strip()
    return len(text) <= 2 and not any(map(str.isalnum, text))


# --- pages saved from the web -------------------------------------------------------------------

_SHINGLE = 4
_MAX_DEPTH = 6
_MANY_HOSTS = 3
_SOCIAL_CARD = ".//meta[starts-with(@property, 'og:') or starts-with(@name, 'twitter:')]"
_ARTICLE = (
    ".//meta[@property='og:type' and @content='article' or starts-with(@property, 'article:')]"
    " | .//script[@type='application/ld+json']"
)
_EXTERNAL_SCRIPT = re.compile(r"(?:https?:)?//([^/]+)", re.I)
_DOCUMENTATION = re.compile(
    r"docutils|sphinx|mkdocs|doxygen|javadoc|dokka|docbook|asciidoctor|antora|wiki|docusaurus|"
    r"vitepress|vuepress|gitbook|pandoc|rustdoc|mdbook|jsdoc|typedoc|yard|texinfo|makeinfo|"
    r"tex4ht|latex|hevea|gtk-doc|gi-docgen|publican|confluence|microsoft|libreoffice|openoffice",
    re.I,
)
_SPHINX = re.compile(r"(?:^|/)(?:documentation_options|doctools|searchtools)\.js", re.I)
_MAX_GAP = 40
_MAX_LINK_SHARE = 0.3
_MIN_SHARE = 0.2
_MIN_PAGE = 500


def is_saved_from_web(page: _Element) -> bool:
    """Return whether a page comes from a web site rather than from a manual.

    The signs are metadata for social networks and search engines, and scripts from other hosts
    (advertisements, statistics), unless the page names a documentation tool as its generator.
    """
    scripts = [script.get("src") or "" for script in page.iterfind(".//script")]
    made_by = page.xpath(".//meta[@name='generator' or @name='Generator']/@content")
    if any(map(_DOCUMENTATION.search, made_by)) or any(map(_SPHINX.search, scripts)):
        return False
    hosts = {found[1] for script in scripts if (found := _EXTERNAL_SCRIPT.match(script))}
    if len(hosts) >= _MANY_HOSTS or page.xpath(_ARTICLE):
        return True
    return bool(hosts and page.xpath(_SOCIAL_CARD))


def main_blocks(page: _Element, blocks: Sequence[Block]) -> list[Block]:
    """Return the `blocks` that belong to the main content of a page; all when it is not found."""
    # It takes half a second to import, and most pages are not saved from the web.
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    try:
        found = trafilatura.bare_extraction(page, fast=True, include_comments=False)
    except Exception:
        return list(blocks)  # whatever the exception, no text must be lost
    body = getattr(found, "body", None)
    if body is None:
        return list(blocks)
    texts = _Texts(body)
    kept = _complete(blocks, [texts.contains(block) for block in blocks])
    size = sum(len(block.text) for block in blocks)
    held = sum(len(block.text) for block, keep in zip(blocks, kept, strict=True) if keep)
    if size < _MIN_PAGE or held < size * _MIN_SHARE:
        return list(blocks)
    return [block for block, keep in zip(blocks, kept, strict=True) if keep]


def _complete(blocks: Sequence[Block], held: Sequence[bool]) -> list[bool]:
    """Add what belongs to the found blocks: headings, whole lists, adjacent code and tables."""
    groups = {block.group for block, keep in zip(blocks, held, strict=True) if keep}
    groups.discard(0)
    kept = [keep or block.group in groups for block, keep in zip(blocks, held, strict=True)]
    _keep_between(blocks, kept)
    beside = [*kept[1:], False]
    for n, block in enumerate(blocks):
        if block.kind in ("code", "table"):
            kept[n] |= beside[n] or (n > 0 and kept[n - 1])
    over = 0  # a heading of a smaller level is above the block that follows
    for n in reversed(range(len(blocks))):
        if blocks[n].kind != "heading":
            over = _MAX_DEPTH + 1 if kept[n] else 0
        else:
            kept[n] |= blocks[n].level < over
            over = blocks[n].level if kept[n] else 0
    return kept


def _keep_between(blocks: Sequence[Block], kept: list[bool]) -> None:
    """Add lists, code and tables between two kept blocks, unless they are mostly links."""
    for before, after in pairwise([n for n, keep in enumerate(kept) if keep]):
        gap = blocks[before + 1 : after]
        links = sum(block.linked for block in gap)
        if len(gap) > _MAX_GAP or links > _MAX_LINK_SHARE * sum(len(block.text) for block in gap):
            continue
        for n, block in enumerate(gap, before + 1):
            kept[n] = block.kind not in ("text", "heading") or block.mark.strip()[:1].isdigit()


class _Texts:
    """The text that trafilatura found, to look up blocks in it independent of their markup."""

    def __init__(self, body: _Element) -> None:
        self._shingles: set[tuple[str, ...]] = set()
        self._short_texts: set[str] = set()
        for element in body.iter():
            self._short_texts.add(" ".join("".join(islice(element.itertext(), 50)).split()))
        words = " ".join(body.itertext()).split()
        self._shingles.update(zip(*(words[n:] for n in range(_SHINGLE)), strict=False))

    def contains(self, block: Block) -> bool:
        words = block.text.split()
        if len(words) < _SHINGLE:
            return " ".join(words) in self._short_texts
        shingles = list(zip(*(words[n:] for n in range(_SHINGLE)), strict=False))
        return sum(each in self._shingles for each in shingles) >= len(shingles) / 2
