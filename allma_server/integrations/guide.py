"""Tell an AI client when to use Allma: a marked section of its instructions, and a skill.

The section is between two marks; everything around it is left as it is.
"""

from dataclasses import replace
from pathlib import Path

from allma_server.errors import InvalidArgument
from allma_server.integrations import AIClient
from allma_server.integrations.install import Installation, change_file, read_file
from allma_server.integrations.text import Unreadable, line_ending
from allma_server.locations import application_folders

BEGIN, END = "<!-- allma: begin -->", "<!-- allma: end -->"

GUIDE = """\
The tools of the MCP server `allma` search the indexed folders of this machine by meaning and by
words, also in PDF and office documents.

- To find where something is, call `search` with a few words or a question, before you use grep or
  read files.
- Its hits have file, lines and text, which often suffice. To see more, call `read` with the lines
  around the best hit (`FILE:START-END`) instead of reading the whole file.
- If nothing fits, or to find every place of an exact string, use grep.
"""

SECTION = f"## Finding things with Allma\n\n{GUIDE}"

SKILL = f"""\
---
name: allma
description: Find where something is in code, documents, PDF and office files with Allma's search. \
Use it before grep or reading whole files, when the place or the exact words are not known.
---

# Finding things with Allma

{GUIDE}"""


def add_guide(client: AIClient, *, write: bool) -> list[Installation]:
    """Add the section and the skill to a client's files, or only return the changes.

    Raises:
        InvalidArgument: a file cannot be changed safely.
        StorageError: a file cannot be read or written.
    """
    done: list[Installation] = []
    if client.instructions is not None:
        file = _located(client.instructions)
        before = _text_of(file)
        done.append(_changed(client, file, before, with_section(before), write=write))
    if client.skill is not None:
        file = _located(client.skill)
        done.append(_changed(client, file, _text_of(file), SKILL, write=write))
    return done


def remove_guide(client: AIClient, *, write: bool) -> list[Installation]:
    """Remove both, or only return the changes; a file that has nothing else is deleted.

    Raises:
        InvalidArgument, StorageError: as `add_guide`.
    """
    done: list[Installation] = []
    for place, is_whole in ((client.instructions, False), (client.skill, True)):
        if place is None:
            continue
        file = _located(place)
        before = _text_of(file)
        after = "" if is_whole else without_section(before)
        each = change_file(client, file, before, after, "absent", write=write)
        if each.written and not after:
            file.unlink()
        done.append(each)
    return done


def with_section(text: str) -> str:
    """Return a text with the section: in place of an earlier one, else at its end.

    Raises:
        Unreadable: the marks are not a pair.
    """
    end = line_ending(text)
    section = end.join([BEGIN, *SECTION.splitlines(), END])
    if (place := _marked(text)) is not None:
        return text[: place[0]] + section + text[place[1] :]
    if not text.strip():
        return section + end
    return f"{text.rstrip()}{end}{end}{section}{end}"


def without_section(text: str) -> str:
    """Return a text without the section.

    Raises:
        Unreadable: the marks are not a pair.
    """
    if (place := _marked(text)) is None:
        return text
    before, after = text[: place[0]].rstrip(), text[place[1] :].lstrip()
    end = line_ending(text)
    if not before or not after:
        rest = before or after
        return rest.rstrip() + end if rest else ""
    return f"{before}{end}{end}{after}"


def _marked(text: str) -> tuple[int, int] | None:
    """Return where the section begins and ends, marks included; None if there is none."""
    if BEGIN not in text and END not in text:
        return None
    start, end = text.find(BEGIN), text.find(END)
    if (text.count(BEGIN), text.count(END)) != (1, 1) or end < start:
        raise Unreadable(f"{BEGIN!r} and {END!r} are not one pair")
    return start, end + len(END)


def _located(place: str) -> Path:
    return Path(place.format(**application_folders()))


def _text_of(file: Path) -> str:
    try:
        text = read_file(file)
        _marked(text)
    except Unreadable as exc:
        raise InvalidArgument(
            f"Cannot use {file}: {exc}. The file is unchanged.", "Correct the file and try again."
        ) from exc
    return text


def _changed(client: AIClient, file: Path, before: str, after: str, *, write: bool) -> Installation:
    done = change_file(client, file, before, after, "installed", write=write)
    return replace(done, next_step=None)
