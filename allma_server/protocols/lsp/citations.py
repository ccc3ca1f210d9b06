"""Links and hovers in `allma:` documents: the sources of answers, where they are cited."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lsprotocol import types
from pygls.workspace import PositionCodec

from allma_server._internal.lines import split_lines
from allma_server.answering.export import to_markdown
from allma_server.protocols.lsp.connection import Editor
from allma_server.protocols.lsp.places import place_of
from allma_server.protocols.uris import SCHEME, messages
from allma_server.types import SHARED, Conversation, MessageSource

_CITED = re.compile(r"\[(\d{1,3})\]")
_LISTED = re.compile(r"(\d{1,3})\. `.*")


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in a document that names a source."""

    range: types.Range
    source: MessageSource


class Citations:
    """Answers requests about the `allma:` documents that an editor shows."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    async def links(self, params: types.DocumentLinkParams) -> list[types.DocumentLink] | None:
        """Return a link to the source of each mention."""
        found = await self._mentions(params.text_document.uri)
        opens_texts = self._editor.opens_allma_documents
        links: list[types.DocumentLink] = []
        for each in found:
            if each.source.path.startswith(SHARED):
                continue  # it has no file here
            place = place_of(each.source, each.source.start_line, opens_texts=opens_texts)
            target = f"{place.uri}#L{place.range.start.line + 1}"
            links.append(types.DocumentLink(each.range, target, _where(each.source)))
        return links or None

    async def hover(self, params: types.HoverParams) -> types.Hover | None:
        """Return the passage of the source that is named at a position."""
        for each in await self._mentions(params.text_document.uri):
            start, end = each.range.start, each.range.end
            if start <= params.position <= end:
                text = f"{_where(each.source)}\n\n{each.source.text.strip()}"
                # Plain text: a passage must not become links or pictures.
                shown = types.MarkupContent(types.MarkupKind.PlainText, text)
                return types.Hover(shown, each.range)
        return None

    async def _mentions(self, uri: str) -> list[Mention]:
        if not uri.lower().startswith(f"{SCHEME}:"):
            return []
        return await self._editor.answer(self._found, {"uri": uri})

    async def _found(self, arguments: dict[str, object]) -> list[Mention]:
        shown = await messages(await self._editor.context(), str(arguments["uri"]))
        if shown is None:
            return []
        return list(_mentions(shown, self._editor.server.workspace.position_codec))


def _mentions(shown: Conversation, codec: PositionCodec) -> Iterator[Mention]:
    """Yield the mentions in the Markdown of messages: cited in their text, and listed below it."""
    lines = split_lines(to_markdown(shown))
    first = 0
    for number, message in enumerate(shown.messages, start=1):
        upto = len(split_lines(to_markdown(replace(shown, messages=shown.messages[:number]))))
        sources = {source.number: source for source in message.sources}
        for at in range(first, upto):
            listed = _LISTED.fullmatch(lines[at])
            for found in [listed] if listed else _CITED.finditer(lines[at]):
                if (source := sources.get(int(found[1]))) is not None:
                    start, end = (
                        types.Position(at, codec.client_num_units(lines[at][:offset]))
                        for offset in found.span()
                    )
                    yield Mention(types.Range(start, end), source)
        first = upto


def _where(source: MessageSource) -> str:
    lines = f"{source.path}:{source.start_line}-{source.end_line}"
    return " › ".join([lines, *source.heading])
