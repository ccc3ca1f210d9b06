"""Translations (gettext): the lines of the file, with a break at each message."""

import re
from pathlib import PurePath

from allma_server.documents.readers.line_sections import file_text
from allma_server.types import Extract, Section

_MESSAGE = re.compile(r"(?:\A|(?<=\n\n))(?:#[^\n]*\n|msg)")
_FIELD = re.compile(r'^"(Language|Project-Id-Version):[ \t]*(.*?)(?:\\n)?"$', re.MULTILINE)
_HEAD = 4_000


def read(data: bytes, path: PurePath) -> Extract:
    """Read a catalogue of messages or its template."""
    text = file_text(data)
    fields = {key: value.strip() for key, value in _FIELD.findall(text[:_HEAD])}
    breaks = tuple(match.start() for match in _MESSAGE.finditer(text))
    language = fields.get("Language", "")
    metadata = {"messages": str(len(breaks))} | ({"language": language} if language else {})
    return Extract(text, (Section(0, len(text), "records", breaks=breaks),), metadata=metadata)
