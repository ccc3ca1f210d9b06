"""Which parts of a web page are its content."""

import logging
import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

from allma_server.documents.readers.html_blocks import Block

_UNSEEN = frozenset(
    "script style template noscript canvas iframe frame object embed applet audio video map "
    "datalist dialog head link meta title desc metadata defs symbol annotation annotation-xml rp "
    "noframes".split()
)
_NAVIGATION = frozenset({"nav", "aside", "footer"})
_LANDMARKS = frozenset({"navigation", "complementary", "contentinfo", "search"})
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.I)
# An aside that belongs to the text: an admonition, a footnote.
_REMARK = re.compile(
    r"\b(?:footnotes?|endnotes?|admonition\w*|notes?|tip|hint|warning|caution|important|danger|"
    r"attention|callout|example|system-message)\b",
    re.I,
)
_STRUCTURE = frozenset("article dl h1 h2 h3 h4 h5 h6 main ol p pre section table ul".split())
_LARGEST_ORNAMENT = 300

# lxml has no types of its own.
_Element = Any


def unseen(element: _Element, *, navigation: bool = False) -> bool:
    """Whether a person who reads the page does not see an element, or sees it as navigation.

    With `navigation`, that is shown.
    """
    tag = element.tag
    if tag in _UNSEEN:
        return True
    if _is_hidden(element) or (tag == "a" and _links_to_itself(element)):
        return True
    role = (element.get("role") or "").lower()
    if navigation or (tag not in _NAVIGATION and role not in _LANDMARKS):
        return False
    return not _is_remark(element, role)


def _is_hidden(element: _Element) -> bool:
    if element.tag in ("html", "body"):
        return False  # a script shows them at last
    hidden = element.get("hidden")
    if hidden is not None and hidden.lower() != "until-found":
        return True
    if (style := element.get("style")) and _HIDDEN_STYLE.search(style):
        return True
    # What is hidden from screen readers alone is an ornament, or all that a dialog covers.
    return (element.get("aria-hidden") or "").lower() == "true" and _is_ornament(element)


def _is_ornament(element: _Element) -> bool:
    tags = [part.tag for part in islice(element.iter(), _LARGEST_ORNAMENT)]
    return len(tags) < _LARGEST_ORNAMENT and _STRUCTURE.isdisjoint(tags)


def _is_remark(element: _Element, role: str) -> bool:
    if element.tag == "footer":
        return element.getparent().tag == "blockquote"
    if role.startswith("doc-") or role == "note":
        return True
    return element.tag == "aside" and bool(_REMARK.search(element.get("class") or ""))


def _links_to_itself(anchor: _Element) -> bool:
    """Whether it is the sign beside a heading that links to the heading."""
    if not (anchor.get("href") or "").startswith("#"):
        return False
    text = "".join(islice(anchor.itertext(), 4)).strip()
    return len(text) <= 2 and not any(map(str.isalnum, text))


# --- pages saved from the web -------------------------------------------------------------------

_SHINGLE = 4
_DEEPEST = 6
_FOREIGN_HOSTS = 3
_CARD = ".//meta[starts-with(@property, 'og:') or starts-with(@name, 'twitter:')]"
_ARTICLE = (
    ".//meta[@property='og:type' and @content='article' or starts-with(@property, 'article:')]"
    " | .//script[@type='application/ld+json']"
)
_FOREIGN_SCRIPT = re.compile(r"(?:https?:)?//([^/]+)", re.I)
_DOCUMENTATION = re.compile(
    r"docutils|sphinx|mkdocs|doxygen|javadoc|dokka|docbook|asciidoctor|antora|wiki|docusaurus|"
    r"vitepress|vuepress|gitbook|pandoc|rustdoc|mdbook|jsdoc|typedoc|yard|texinfo|makeinfo|"
    r"tex4ht|latex|hevea|gtk-doc|gi-docgen|publican|confluence|microsoft|libreoffice|openoffice",
    re.I,
)
_SPHINX = re.compile(r"(?:^|/)(?:documentation_options|doctools|searchtools)\.js", re.I)
_LONGEST_GAP = 40
_LINKS = 0.3
_SMALL_SHARE = 0.2
_SHORT_PAGE = 500


def is_saved_from_web(page: _Element) -> bool:
    """Whether a page shows the marks of a web site, not of a manual.

    These are what it tells social networks and search engines of an article, and scripts of other
    sites (advertisements, statistics), unless a documentation tool says that it made the page.
    """
    scripts = [script.get("src") or "" for script in page.iterfind(".//script")]
    made_by = page.xpath(".//meta[@name='generator' or @name='Generator']/@content")
    if any(map(_DOCUMENTATION.search, made_by)) or any(map(_SPHINX.search, scripts)):
        return False
    hosts = {found[1] for script in scripts if (found := _FOREIGN_SCRIPT.match(script))}
    if len(hosts) >= _FOREIGN_HOSTS or page.xpath(_ARTICLE):
        return True
    return bool(hosts and page.xpath(_CARD))


def main_blocks(page: _Element, blocks: Sequence[Block]) -> list[Block]:
    """Those of a page's `blocks` that belong to its main content; all when that is hard to say."""
    import trafilatura  # heavy, like lxml

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    try:
        found = trafilatura.bare_extraction(page, fast=True, include_comments=False)
    except Exception:
        return list(blocks)  # whatever a strange page does to it, nothing of the page is lost
    body = getattr(found, "body", None)
    if body is None:
        return list(blocks)
    texts = _Texts(body)
    kept = _completed(blocks, [texts.hold(block) for block in blocks])
    size = sum(len(block.text) for block in blocks)
    held = sum(len(block.text) for block, keep in zip(blocks, kept, strict=True) if keep)
    if size < _SHORT_PAGE or held < size * _SMALL_SHARE:
        return list(blocks)
    return [block for block, keep in zip(blocks, kept, strict=True) if keep]


def _completed(blocks: Sequence[Block], held: Sequence[bool]) -> list[bool]:
    """What belongs to a block that is held: its heading, all of its list, code and tables by it."""
    groups = {block.group for block, keep in zip(blocks, held, strict=True) if keep}
    groups.discard(0)
    kept = [keep or block.group in groups for block, keep in zip(blocks, held, strict=True)]
    _keep_between(blocks, kept)
    beside = [*kept[1:], False]
    for n, block in enumerate(blocks):
        if block.kind in ("code", "table"):
            kept[n] |= beside[n] or (n > 0 and kept[n - 1])
    over = 0  # the level that a heading must be above to stand over the block that follows
    for n in reversed(range(len(blocks))):
        if blocks[n].kind != "heading":
            over = _DEEPEST + 1 if kept[n] else 0
        else:
            kept[n] |= blocks[n].level < over
            over = blocks[n].level if kept[n] else 0
    return kept


def _keep_between(blocks: Sequence[Block], kept: list[bool]) -> None:
    """Adds what has the shape of content, between two blocks that are kept, unless it is links."""
    for before, after in pairwise([n for n, keep in enumerate(kept) if keep]):
        gap = blocks[before + 1 : after]
        links = sum(block.linked for block in gap)
        if len(gap) > _LONGEST_GAP or links > _LINKS * sum(len(block.text) for block in gap):
            continue
        for n, block in enumerate(gap, before + 1):
            kept[n] = block.kind not in ("text", "heading") or block.mark.strip()[:1].isdigit()


class _Texts:
    """What trafilatura found, so that blocks can be looked up in it whatever their markup."""

    def __init__(self, body: _Element) -> None:
        self._words: set[tuple[str, ...]] = set()
        self._whole: set[str] = set()
        for element in body.iter():
            self._whole.add(" ".join("".join(islice(element.itertext(), 50)).split()))
        words = " ".join(body.itertext()).split()
        self._words.update(zip(*(words[n:] for n in range(_SHINGLE)), strict=False))

    def hold(self, block: Block) -> bool:
        words = block.text.split()
        if len(words) < _SHINGLE:
            return " ".join(words) in self._whole
        shingles = list(zip(*(words[n:] for n in range(_SHINGLE)), strict=False))
        return sum(each in self._words for each in shingles) >= len(shingles) / 2
