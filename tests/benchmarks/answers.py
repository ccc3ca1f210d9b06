"""Measure the correctness of answers: SQuAD's questions with a real small model.

    python -m tests.benchmarks.answers [--model NAME] [-n N] [--skip N] [--data DIR] [--show]

Half of the questions have their answer in the indexed paragraphs, half do not (the set's own: about
the same subjects, made to look answerable). Each is asked twice over the same five passages: once
by `ask`, once as a plain prompt, the passages numbered and put together, with the same wishes (cite
by number, say so if it is not there). What is counted:

- right: of the answerable, those whose answer holds a gold string and is no refusal;
- support: of the citations in answers to those, the share whose passage holds a gold string;
- cited: the share of right answers that cite a passage which holds it;
- refused: of the unanswerable, those that say the documents do not tell (`wrongly`: of the others).

The model runs behind the Ollama API (`tests/ollama`), at a temperature of 0 for the plain prompt
and as `ask` has it for the other. `--data` keeps the index for the next run.
"""

import argparse
import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from allma_server.answering.refusal import is_refusal
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, Answer, ChatMessage, Passage, SearchResult, TextDelta
from tests.benchmarks.retrieval import lines, publish
from tests.conftest import SHARED_DATA
from tests.ollama.fixtures import serving as model_server

SET = SHARED_DATA / "retrieval" / "squad"
LONGEST_ANSWER = 160
PLAIN = (
    "Answer the question from the numbered passages. Cite the passages you use like [1]. If the "
    "passages do not contain the answer, say that you do not know."
)


@dataclass(frozen=True)
class Asked:
    """A question; without gold strings the documents do not answer it."""

    text: str
    gold: tuple[str, ...] = ()

    def in_text(self, text: str) -> bool:
        return any(_plain(answer) in _plain(text) for answer in self.gold)


@dataclass
class Score:
    """What one way of asking came to."""

    right: list[bool] = field(default_factory=list[bool])
    cited: list[bool] = field(default_factory=list[bool])
    support: list[bool] = field(default_factory=list[bool])
    refused: list[bool] = field(default_factory=list[bool])
    wrongly: list[bool] = field(default_factory=list[bool])
    seconds: list[float] = field(default_factory=list[float])

    def add(self, asked: Asked, text: str, passages: Sequence[Passage], seconds: float) -> None:
        self.seconds.append(seconds)
        refusal = is_refusal(text)
        if not asked.gold:
            self.refused.append(refusal)
            return
        self.wrongly.append(refusal)
        self.right.append(asked.in_text(text) and not refusal)
        numbers = {int(n) for n in re.findall(r"\[(\d+)\]", text)}
        holds = [
            n <= len(passages) and asked.in_text(passages[n - 1].text) for n in numbers if n > 0
        ]
        self.support += holds
        if self.right[-1]:
            self.cited.append(any(holds))

    def row(self, name: str) -> str:
        shares = (self.right, self.support, self.cited, self.refused, self.wrongly)
        shown = "".join(f"{mean(s):9.2f}" if s else "        -" for s in shares)
        return f"{name:<8}{shown}{len(self.support):10}{mean(self.seconds):8.1f} s"


def chosen(n: int, skip: int) -> list[Asked]:
    """`n` answerable and `n` unanswerable questions, spread evenly over the set."""
    answers = {line["id"]: line["answers"] for line in lines(SET / "answers.jsonl")}
    answerable = [Asked(q["text"], tuple(answers[q["id"]])) for q in lines(SET / "queries.jsonl")]
    unanswerable = [Asked(q["text"]) for q in lines(SET / "unanswerable.jsonl")]
    return [q for part in (answerable, unanswerable) for q in _spread(part, n, skip)]


def _spread(questions: Sequence[Asked], n: int, skip: int) -> list[Asked]:
    step = len(questions) // n
    return [questions[i * step + skip % step] for i in range(n)]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


async def plainly(engine: Engine, model: str, asked: Asked, passages: Sequence[Passage]) -> str:
    """The answer to the passages put together, without anything of Allma's."""
    sources = "\n\n".join(f"[{n}] {p.text}" for n, p in enumerate(passages, start=1))
    messages = [
        ChatMessage("system", PLAIN),
        ChatMessage("user", f"{sources}\n\nQuestion: {asked.text}"),
    ]
    stream = engine.chat.stream(
        model, messages, context_length=16384, max_tokens=LONGEST_ANSWER, temperature=0
    )
    async with aclosing(stream) as events:
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])


async def run(options: argparse.Namespace, url: str, data: Path) -> None:
    config = Config(
        data_dir=data,
        embedder="local/all-MiniLM-L6-v2-int7",
        ollama_url=url,
        chat_model=options.model,
    )
    scores = {"plain": Score(), "allma": Score()}
    async with open_engine(config) as engine:
        await publish(engine, "/squad", list(lines(SET / "corpus.jsonl")))
        call = Call(engine, LOCAL)
        for asked in chosen(options.n, options.skip):
            found: SearchResult = await BY_NAME["search"](call, {"query": asked.text})
            began = time.monotonic()
            plain = await plainly(engine, options.model, asked, found.passages)
            between = time.monotonic()
            answer: Answer = await BY_NAME["ask"](call, {"question": asked.text})
            scores["plain"].add(asked, plain, found.passages, between - began)
            sources = [citation.passage for citation in answer.citations]
            scores["allma"].add(asked, answer.text, sources, time.monotonic() - between)
            if options.show:
                print(f"\n{asked.text}  {list(asked.gold)}\n  plain: {plain!r}")
                print(f"  allma: {answer.text!r} ({answer.grounding})", flush=True)
    print(f"\n{options.model}, {options.n} answerable and {options.n} unanswerable questions")
    print("           right  support    cited  refused  wrongly citations    each")
    for name, score in scores.items():
        print(score.row(name))


def serving(model: str) -> AbstractContextManager[str]:
    """The address of a model server that has `model`."""
    return model_server(model, longest_answer=LONGEST_ANSWER, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="qwen-0.5b", help="a model of tests/ollama/fetch.py")
    parser.add_argument("-n", type=int, default=50, help="questions of each kind")
    parser.add_argument("--skip", type=int, default=0, help="take other questions")
    parser.add_argument("--data", type=Path, help="keep the index here")
    parser.add_argument("--show", action="store_true", help="print every answer")
    options = parser.parse_args()
    if not SET.exists():
        raise SystemExit(f"There is no squad set in {SHARED_DATA}.")
    with tempfile.TemporaryDirectory() as temporary, serving(options.model) as url:
        asyncio.run(run(options, url, options.data or Path(temporary)))


if __name__ == "__main__":
    main()
