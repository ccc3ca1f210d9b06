"""Replaces each secret of a text by a mask; lines keep their numbers."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, zip_longest

from allma_server.errors import NothingToIndex
from allma_server.secrets.assignments import assigned
from allma_server.secrets.codes import codes
from allma_server.secrets.contexts import in_context, private_keys, private_members
from allma_server.secrets.forms import of_known_form
from allma_server.secrets.labels import labels
from allma_server.secrets.prose import in_prose
from allma_server.secrets.rules import MarkedText
from allma_server.secrets.spans import Span
from allma_server.secrets.tables import in_tables
from allma_server.types import Extract, Section

MASKED = "masked-3"
"""The mark of an index without secrets, with a version; another one has documents read again."""

COUNT = "secrets masked"
"""The key of a document's metadata that says how many were."""


_ALL_OF_IT = 0.75
_LONGEST_HEADER = 400
# The first row of a table with logins, as browsers and password stores export them.
_PASSWORD_LIST = re.compile(
    r"(?=.*\b(?:user[ _]?name|login(?:_username)?|e?-?mail|account|url|website|uri)\b)"
    r"(?:[\w \"-]{1,40}[,;\t]){1,20}?\"?(?:login_)?passw(?:or)?ds?\"?(?:[,;\t]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its secrets: each span of the original is replaced by its mask."""

    text: str
    spans: tuple[Span, ...] = ()
    masks: tuple[str, ...] = ()

    def offsets(self, originals: tuple[int, ...]) -> tuple[int, ...]:
        """Where places of the original are now; of one inside a secret, the end of its mask."""
        grown = zip(self.spans, self.masks, strict=True)
        growth = [0, *accumulate(len(mask) - (span.end - span.start) for span, mask in grown)]
        ends = [span.end for span in self.spans]
        return tuple(self._moved(original, ends, growth) for original in originals)

    def _moved(self, original: int, ends: list[int], growth: list[int]) -> int:
        before = bisect_right(ends, original)
        if before < len(ends) and self.spans[before].start < original:
            return ends[before] + growth[before + 1]
        return original + growth[before]


def mask(text: str) -> Masked:
    """The text with `[secret: KIND]` in the place of each secret; it has as many lines as before.

    Linear in the length of the text.
    """
    spans = tuple(secrets_in(text))
    masks = tuple(
        f"[secret: {span.kind}]" + "\n" * text.count("\n", span.start, span.end) for span in spans
    )
    parts: list[str] = []
    at = 0
    for span, instead in zip(spans, masks, strict=True):
        parts += [text[at : span.start], instead]
        at = span.end
    return Masked("".join([*parts, text[at:]]), spans, masks)


def masked(text: str) -> str:
    """The text with its secrets masked."""
    return mask(text).text


def mask_extract(extract: Extract) -> Extract:
    """A document without its secrets; its metadata tell how many its text had.

    Raises:
        NothingToIndex: it holds nothing else.
    """
    text_of = cache(masked)  # sections have headings in common
    whole = mask(extract.text)
    if _is_secret(extract.text, whole):
        raise NothingToIndex("It holds secrets; such files are not indexed.")

    def section(old: Section) -> Section:
        start, end, *breaks = whole.offsets((old.start, old.end, *old.breaks))
        # Several may have stood inside one secret; the first of them counts.
        pairs = list(zip_longest(breaks, old.places))[::-1]
        kept = dict(sorted({at: place for at, place in pairs if start <= at < end}.items()))
        return replace(
            old,
            start=start,
            end=end,
            breaks=tuple(kept),
            places=tuple(place for place in kept.values() if place is not None),
            heading=tuple(text_of(title) for title in old.heading),
            repeat=text_of(old.repeat),
            part=text_of(old.part),
        )

    metadata = {key: text_of(value) for key, value in extract.metadata.items()}
    if whole.spans:
        metadata[COUNT] = str(len(whole.spans))
    title = text_of(extract.title) if extract.title else None
    sections = (section(old) for old in extract.sections)
    kept = tuple(each for each in sections if each.start < each.end)
    return replace(extract, text=whole.text, sections=kept, title=title, metadata=metadata)


def _is_secret(text: str, masked: Masked) -> bool:
    """Whether a text is a secret, such as a key or an exported list of passwords."""
    hidden = sum(span.end - span.start for span in masked.spans)
    if hidden > _ALL_OF_IT * len(text.strip()):
        return True
    header = text.lstrip("\ufeff\n ").partition("\n")[0]
    return len(header) < _LONGEST_HEADER and _PASSWORD_LIST.match(header) is not None


def secrets_in(text: str) -> Iterator[Span]:
    """The secrets of a text, in order and apart from each other."""
    marked = MarkedText(text)
    named = list(labels(marked))
    found = [
        *private_keys(text),
        *private_members(marked),
        *of_known_form(text),
        *in_context(marked),
        *codes(marked),
        *assigned(marked),
        *in_prose(marked, named),
        *in_tables(marked, named),
    ]
    held: Span | None = None
    for span in sorted(found, key=lambda s: (s.start, -s.end)):
        if held is None or span.start >= held.end:
            if held is not None:
                yield held
            held = span
        elif span.end > held.end:
            held = replace(held, end=span.end)
    if held is not None:
        yield held
