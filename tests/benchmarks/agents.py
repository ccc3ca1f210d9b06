"""Tasks of a coding agent with Allma's tools, and with grep and whole files: calls and tokens.

    python -m tests.benchmarks.agents

Twenty questions about two public packages were written before anything was measured, each with a
text that the agent must have seen to answer it. Both policies are fixed:

* Allma: `search` with the question; then the lines around each hit, the best first, by `read`; then
  as with grep.
* grep: the question's words one by one, the rarest first, at most three, of which 100 lines are
  shown; then whole files, those with the most of these words first, of which 2,000 lines are shown.

Either ends when the text was seen. Four characters count as a token.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from allma_server._internal.tokens import STOP_WORDS
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.text import as_text
from allma_server.types import LOCAL

AROUND = 40
"""Lines that are read before and after a hit."""

GREP_WORDS, GREP_LINES, FILE_LINES = 3, 100, 2_000

TASKS = {
    "starlette": {
        "How long is a session cookie valid by default?": "max_age: int | None = 14 * 24",
        "From which size on are responses compressed?": "minimum_size: int = 500",
        "How large may one part of an uploaded form be?": "max_part_size: int = 1024",
        "How are path parameters converted to integers?": "class IntegerConvertor",
        "What happens if a websocket receives after it was disconnected?": (
            "once a disconnect message has been received"
        ),
        "How are wildcards in the allowed host names checked?": (
            "Domain wildcard patterns must be like"
        ),
        "How are static files outside of their directory refused?": "os.path.commonpath",
        "When do background tasks of a response run?": "await self.background()",
        "How is the handler for the class of an exception found?": "type(exc).__mro__",
        "How is the ETag of a file computed?": "md5(etag_base",
    },
    "rich": {
        "How is it decided whether the terminal has true colour?": '_environ.get("COLORTERM"',
        "How often is a progress bar drawn again?": "refresh_per_second: float = 10",
        "How wide is a character on the terminal?": "def get_character_cell_size",
        "How are addresses of web pages highlighted in a text?": "(?P<url>",
        "How are the columns of a table made narrower when they do not fit?": (
            "def _collapse_widths"
        ),
        "How are square brackets kept from being read as markup?": "won't be interpreted as markup",
        "How many items of a local variable does a traceback show?": "LOCALS_MAX_LENGTH = ",
        "How is a colour converted for a terminal with fewer colours?": "def downgrade",
        "When does a live display hide the cursor?": "show_cursor(False)",
        "How is a number of bytes printed with a unit?": "def decimal(",
    },
}


@dataclass
class Cost:
    """What a policy needed: calls and characters."""

    calls: int = 0
    characters: int = 0

    def add(self, seen: Iterable[str], wanted: str) -> str:
        """Count the calls until the wanted text was seen; return a short report."""
        calls = characters = 0
        for text in seen:
            calls, characters = calls + 1, characters + len(text)
            if wanted in text:
                break
        self.calls, self.characters = self.calls + calls, self.characters + characters
        return f"{calls:>3} calls {characters // 4:>7,} tokens"


async def with_allma(engine: Engine, folder: Path, question: str, wanted: str) -> list[str]:
    """Return what the agent sees with Allma, call by call, until the text was seen."""
    call = Call(engine, LOCAL, workspaces=(str(folder),))
    result = await BY_NAME["search"](call, {"query": question})
    seen = [as_text(result)]
    for passage in result.passages:
        if wanted in seen[-1]:
            break
        lines = max(1, passage.start_line - AROUND), passage.end_line + AROUND
        source = f"{passage.path}:{lines[0]}-{lines[1]}"
        seen.append(as_text(await BY_NAME["read"](call, {"source": source})))
    return seen


def with_grep(files: dict[str, list[str]], question: str) -> Iterator[str]:
    """Yield what the agent sees with grep and whole files, call by call."""
    words = [word for word in re.findall(r"\w+", question.lower()) if word not in STOP_WORDS]
    matches = {
        word: [
            (name, f"{name}:{number}:{line}")
            for name, lines in files.items()
            for number, line in enumerate(lines, start=1)
            if word in line.lower()
        ]
        for word in words
    }
    rarest = sorted((w for w in matches if matches[w]), key=lambda w: len(matches[w]))[:GREP_WORDS]
    hits: dict[str, list[int]] = {}
    for word in rarest:
        yield "\n".join(line for _, line in matches[word][:GREP_LINES])
        for name in {name for name, _ in matches[word]}:
            hits.setdefault(name, []).append(sum(each == name for each, _ in matches[word]))
    for name in sorted(hits, key=lambda name: (-len(hits[name]), -sum(hits[name]), name)):
        yield "\n".join(files[name][:FILE_LINES])


async def main() -> None:
    allma, grep, found = Cost(), Cost(), 0
    with tempfile.TemporaryDirectory() as temporary:
        config = Config(data_dir=Path(temporary, "data"), chat_provider="scripted")
        async with open_engine(config) as engine:
            for package, tasks in TASKS.items():
                folder = copy_of(package, Path(temporary))
                await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(folder)]})
                await engine.ingestion.wait_until_embedded()
                files = {str(p): p.read_text().splitlines() for p in sorted(folder.rglob("*.py"))}
                print(f"\n{package}, {len(files)} files")
                for question, wanted in tasks.items():
                    assert any(wanted in line for lines in files.values() for line in lines), wanted
                    seen = await with_allma(engine, folder, question, wanted)
                    is_found = wanted in seen[-1]
                    found += is_found
                    others = list(with_grep(files, question))
                    report = allma.add([*seen, *([] if is_found else others)], wanted)
                    print(f"  {question}\n    Allma {report}{'' if is_found else ', with grep'}")
                    print(f"    grep  {grep.add(others, wanted)}", flush=True)
    for name, cost in (("Allma", allma), ("grep", grep)):
        print(f"{name}: {cost.calls} calls, {cost.characters // 4:,} tokens")
    print(
        f"Found without grep: {found} of {sum(map(len, TASKS.values()))}. grep to Allma: "
        f"{grep.calls / allma.calls:.1f} times the calls, "
        f"{grep.characters / allma.characters:.1f} times the tokens"
    )


def copy_of(package: str, folder: Path) -> Path:
    """Copy the sources of an installed package, whose folder would not be indexed."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    [source] = spec.submodule_search_locations
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(source, folder / package, ignore=ignored)).resolve()


if __name__ == "__main__":
    asyncio.run(main())
