"""Questions that need more than one passage: follow-ups, overviews, questions of several parts.

- follow-ups: the later questions of conversations, which need the ones before. Plain is the
  conversation with the passages that a search for the question as it stands finds.
- overviews: an answer is right if it has one of the gold strings, and cited if it cites the file or
  folder that it must be made from. Plain has the passages of a search.
- parts: the share of the parts that are answered, by `ask` as usual and by `ask` with `deep`.

The sets are in `question_sets`; with `-held-out` after their name, the half that no rule was made
with. Seconds are CPU time of the model server until the first text is shown.
"""

import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from allma_server.types import ChatMessage, Citation, Passage
from tests.benchmarks.answers.asking import Asking
from tests.benchmarks.answers.judging import refuses
from tests.benchmarks.answers.sets import DOCUMENTS, Asked, gold_groups, write_documents

SETS = Path(__file__).parents[1] / "question_sets"
TITLE = "                             right    cited  first s      n"


@dataclass(slots=True)
class Tally:
    """The answers of one way of asking."""

    right: list[float] = field(default_factory=list[float])
    cited: list[float] = field(default_factory=list[float])
    seconds: list[float] = field(default_factory=list[float])

    def add(self, right: float, cited: float, seconds: float) -> None:
        self.right.append(right)
        self.cited.append(cited)
        self.seconds.append(seconds)

    def row(self) -> str:
        shares = f"{mean(self.right):9.3f}{mean(self.cited):9.3f}"
        return f"{shares}{median(self.seconds):9.1f}{len(self.right):7}"


Tallies = Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class Compound:
    """A set: its sections of lines, its files, and how a section is asked and tallied."""

    sections: Sequence[str]
    folder: str
    write: Callable[[Path], None]
    ways: tuple[str, str]
    ask: Callable[[Asking, str, Tallies], Awaitable[None]]


async def measure(name: str, asking: Asking, count: int, until: float) -> None:
    """Ask `count` questions or conversations of a set, and print its rows."""
    of = COMPOUND[name]
    tallies = {way: Tally() for way in of.ways}
    for section in of.sections[:count]:
        if time.monotonic() > until:
            break
        await of.ask(asking, section, tallies)
    print(TITLE)
    for way, tally in tallies.items():
        if tally.right:
            print(f"{name:<21}{way:<8}{tally.row()}", flush=True)


async def _follow_up(asking: Asking, section: str, tallies: Tallies) -> None:
    earlier: list[ChatMessage] = []
    again: dict[str, object] = {}
    for line in section.splitlines():
        text, _, gold = line[2:].rpartition(" = ")
        asked = Asked(text, "answerable", gold_groups(gold))
        passages = await asking.search(text)
        said, seconds = await asking.plainly(text, passages, earlier)
        earlier += [ChatMessage("user", text), ChatMessage("assistant", said)]
        answer, spent = await asking.by_allma(text, **again)
        again = {"conversation_id": answer.conversation_id}
        if line.startswith("B "):
            cited = [p for n, p in enumerate(passages, start=1) if f"[{n}]" in said]
            plain = _judged(asked, said, cited)
            allma = _judged(asked, answer.text, _cited(answer.citations))
            tallies["plain"].add(*plain, seconds)
            tallies["allma"].add(*allma, spent)
            asking.show(
                text, asked.gold, plain=f"{plain} {said!r}", allma=f"{allma} {answer.text!r}"
            )


async def _overview(asking: Asking, section: str, tallies: Tallies) -> None:
    question, _, rest = section.partition(" > ")
    target, _, gold = rest.partition(" =")
    variants = tuple(filter(None, map(str.strip, gold.split("|"))))
    asked = Asked(question, "answerable", (variants,) if variants else ())
    passages = await asking.search(question)
    said, seconds = await asking.plainly(question, passages)
    cited = [p for n, p in enumerate(passages, start=1) if f"[{n}]" in said]
    answer, spent = await asking.by_allma(question)
    found = (
        ("plain", said, cited, seconds),
        ("allma", answer.text, _cited(answer.citations), spent),
    )
    for way, text, sources, time_spent in found:
        right = asked.is_in(text) and not refuses(text)
        of_target = any(target == "." or f"/{target}" in p.path for p in sources)
        tallies[way].add(right, right and of_target, time_spent)
        asking.show(question, rest, **{way: f"{right} {of_target} {text!r}"})


async def _parts(asking: Asking, section: str, tallies: Tallies) -> None:
    question, _, rest = section.rpartition(" = ")
    parts = [Asked(question, "answerable", gold_groups(gold)) for gold in rest.split(" / ")]
    for way in tallies:
        answer, spent = await asking.by_allma(question, deep=way == "deep")
        cited = " ".join(p.text for p in _cited(answer.citations))
        right = [part.is_in(answer.text) for part in parts]
        supported = [r and part.is_in(cited) for r, part in zip(right, parts, strict=True)]
        tallies[way].add(mean(right), mean(supported), spent)
        asking.show(question, rest, **{way: f"{right} {supported} {answer.text!r}"})


def _judged(asked: Asked, text: str, cited: Sequence[Passage]) -> tuple[bool, bool]:
    right = asked.is_in(text) and not refuses(text)
    return right, right and any(asked.is_in(p.text) for p in cited)


def _cited(citations: Sequence[Citation]) -> list[Passage]:
    return [citation.passage for citation in citations if citation.cited]


def _sections(name: str) -> list[str]:
    text = (SETS / f"{name}.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [section.strip("\n") for section in "\n".join(lines).split("\n\n") if section.strip()]


def _write_project(folder: Path) -> None:
    for name in ("md", "code"):
        shutil.copytree(DOCUMENTS / name, folder / name)


def _sets(held_out: bool) -> Mapping[str, Compound]:
    follow_ups = _sections("follow_ups_held_out" if held_out else "follow_ups")
    overviews, parts = (_sections(name)[held_out] for name in ("overviews", "several_parts"))
    both = ("plain", "allma")
    found = {
        "follow-ups": Compound(follow_ups, "documents", write_documents, both, _follow_up),
        "overviews": Compound(overviews.splitlines(), "project", _write_project, both, _overview),
        "parts": Compound(
            parts.splitlines(), "documents", write_documents, ("ask", "deep"), _parts
        ),
    }
    return {f"{name}-held-out" if held_out else name: of for name, of in found.items()}


COMPOUND: Mapping[str, Compound] = {**_sets(False), **_sets(True)}
