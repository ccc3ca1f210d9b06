"""The sets of questions, and the files that they are about."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conftest import SHARED_DATA

SETS = Path(__file__).parent / "sets"
DOCUMENTS = SHARED_DATA / "documents"
SQUAD = SHARED_DATA / "retrieval" / "squad"
MORE_DOCUMENTS = ("md/pandoc_MANUAL.md", "md/commonmark_spec.md", "md/drf_1-serialization.md")
"""Indexed beside those that have questions, to be found by mistake."""

Kind = Literal["answerable", "unanswerable", "negative", "contradiction", "control"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question. `gold`: groups of variants, one of each of which an answer has.

    `files`: glob of the files to search; None for all of the set.
    """

    text: str
    kind: Kind
    gold: tuple[tuple[str, ...], ...] = ()
    files: str | None = None

    def is_in(self, text: str) -> bool:
        plain = f" {_plain(text)} "
        return all(any(_plain(variant) in plain for variant in group) for group in self.gold)


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions, and how the files that they are about are put into a folder."""

    questions: Sequence[Asked]
    write: Callable[[Path], None]


def natural(name: str) -> QuestionSet:
    questions: list[Asked] = []
    for line in _lines(name):
        if line.startswith("+ "):
            text, _, gold = line[2:].rpartition(" = ")
            questions.append(Asked(text, "answerable", gold_groups(gold)))
        elif line.startswith("- "):
            questions.append(Asked(line[2:], "unanswerable"))
    return QuestionSet(_alternating(questions), write_documents)


def negatives() -> QuestionSet:
    texts: dict[str, str] = {}
    questions: list[Asked] = []
    name = ""
    for line in _lines("negatives"):
        if line.startswith("@ "):
            name = line[2:]
        elif line.startswith("? "):
            questions.append(Asked(line[2:], "negative"))
        else:
            texts[name] = f"{texts.get(name, '')}{line}\n"
    return QuestionSet(questions, lambda folder: _write(folder, texts))


def contradictions() -> QuestionSet:
    lines = list(_lines("contradictions"))
    texts: dict[str, str] = {}
    questions: list[Asked] = []
    for number, at in enumerate(range(0, len(lines), 3)):
        head, *passages = lines[at : at + 3]
        for part, text in zip("ab", passages, strict=True):
            texts[f"pair{number}/{part}.md"] = f"{text}\n"
        kind: Kind = "contradiction" if head[0] == "!" else "control"
        questions.append(Asked(head[2:], kind, files=f"**/pair{number}/*"))
    return QuestionSet(_alternating(questions), lambda folder: _write(folder, texts))


def squad() -> QuestionSet:
    """Questions spread evenly over the set; the paragraphs of one file are one document."""
    answers = {line["id"]: line["answers"] for line in _json(SQUAD / "answers.jsonl")}
    yes = [
        Asked(q["text"], "answerable", (tuple(answers[q["id"]]),))
        for q in _json(SQUAD / "queries.jsonl")
    ]
    no = [Asked(q["text"], "unanswerable") for q in _json(SQUAD / "unanswerable.jsonl")]
    spread = [*yes[:: len(yes) // 100], *no[:: len(no) // 100]]
    return QuestionSet(_alternating(spread), _write_squad)


LOADERS: Mapping[str, Callable[[], QuestionSet]] = {
    "natural": lambda: natural("natural"),
    "negatives": negatives,
    "squad": squad,
    "contradictions": contradictions,
    "held-out": lambda: natural("natural_held_out"),
}


def gold_groups(gold: str) -> tuple[tuple[str, ...], ...]:
    """The gold strings of a line: groups between `&`, variants between `|`."""
    groups = (group.split("|") for group in gold.split("&"))
    return tuple(tuple(variant.strip() for variant in group) for group in groups)


def _alternating(questions: Sequence[Asked]) -> list[Asked]:
    """Order the questions so that every beginning has as many of one kind as of the other."""
    kinds = list(dict.fromkeys(question.kind for question in questions))
    groups = [[q for q in questions if q.kind == kind] for kind in kinds]
    return [group[n] for n in range(max(map(len, groups))) for group in groups if n < len(group)]


def write_documents(folder: Path) -> None:
    """Put the documents of the natural questions into a folder, with others of their kinds."""
    asked_about = {
        line[2:]
        for name in ("natural", "natural_held_out")
        for line in _lines(name)
        if line.startswith("@ ")
    }
    others = {path.relative_to(DOCUMENTS).as_posix() for path in DOCUMENTS.glob("html/*.html")}
    for name in sorted(asked_about | others | set(MORE_DOCUMENTS)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DOCUMENTS / name, target)


def _write_squad(folder: Path) -> None:
    for line in _json(SQUAD / "corpus.jsonl"):
        _write(folder, {f"{line['id']}.md": f"# {line['title']}\n\n{line['text']}\n"})


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _lines(name: str) -> Iterator[str]:
    for line in (SETS / f"{name}.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _json(path: Path) -> Iterator[dict[str, str]]:
    with path.open() as file:
        yield from map(json.loads, file)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower().replace("\u2011", "-")).split())
