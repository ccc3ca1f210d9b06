"""Run the benchmark and print its table."""

import argparse
import asyncio
import dataclasses
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from types import SimpleNamespace

import psutil

from allma_server.answering import prompts
from allma_server.answering.answer_model import find_answer_model
from allma_server.answering.background import BackgroundRequests
from allma_server.answering.gate import save_calibration
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import EmptyAnswer
from allma_server.operations import BY_NAME, Call
from allma_server.operations.calibrating import run_calibration
from allma_server.types import LOCAL
from tests.benchmarks import answers
from tests.benchmarks.answers.asking import LONGEST_ANSWER, Asking
from tests.benchmarks.answers.compound import COMPOUND, measure
from tests.benchmarks.answers.judging import Judgement, judge
from tests.benchmarks.answers.recording import RecordedChatModels
from tests.benchmarks.answers.sets import LOADERS, Asked
from tests.conftest import SHARED_DATA
from tests.ollama.fixtures import serving as model_server

AT_ONCE = 5
"""Questions that are asked in one way before they are asked in the other."""

TITLE = "                    right    cited  support  refused   marked  wrongly first s    yes   no"


@dataclass(slots=True)
class Column:
    """The judgements of one way of asking."""

    kinds: list[str] = field(default_factory=list[str])
    judged: list[Judgement] = field(default_factory=list[Judgement])
    marked: list[bool] = field(default_factory=list[bool])
    seconds: list[float] = field(default_factory=list[float])

    def add(self, asked: Asked, judgement: Judgement, seconds: float, *, marked: bool) -> None:
        self.kinds.append(asked.kind)
        self.judged.append(judgement)
        self.marked.append(marked)
        self.seconds.append(seconds)

    def row(self, name: str) -> str:
        of = list(zip(self.kinds, self.judged, self.marked, strict=True))
        no = [(j, m) for kind, j, m in of if kind == "unanswerable"]
        yes = [j for kind, j, _ in of if kind != "unanswerable"]
        shares = (
            [j.right for j in yes],
            [j.right and j.cited for j in yes],
            [held for j in yes for held in j.support],
            [j.refused for j, _ in no],
            [j.refused or m for j, m in no],
            [j.refused for j in yes],
        )
        shown = "".join(f"{mean(s):9.3f}" if s else "        -" for s in shares)
        return f"{name:<8}{shown}{median(self.seconds):8.1f}{len(yes):7}{len(no):5}"


@dataclass(slots=True)
class Run:
    """One set asked in both ways."""

    asking: Asking
    plain: Column = field(default_factory=Column)
    allma: Column = field(default_factory=Column)

    async def ask(self, some: Sequence[Asked]) -> None:
        """Ask some questions in one way and then in the other.

        So the instructions of each stay in the cache of the model server, as they do in use.
        """
        plainly = [await self._plainly(asked) for asked in some]
        for asked, said in zip(some, plainly, strict=True):
            made = await self._by_allma(asked)
            self.asking.show(asked.text, (asked.kind, asked.gold), plain=said, allma=made)

    async def _plainly(self, asked: Asked) -> str:
        passages = await self.asking.search(asked.text, **_narrowed(asked))
        text, seconds = await self.asking.plainly(asked.text, passages)
        judgement = judge(asked, text, passages, flagged=False)
        self.plain.add(asked, judgement, seconds, marked=False)
        return f"{judgement}: {text!r}"

    async def _by_allma(self, asked: Asked) -> str:
        try:
            answer, seconds = await self.asking.by_allma(asked.text, **_narrowed(asked))
        except EmptyAnswer as exc:
            said_nothing = judge(asked, "", [], flagged=False)
            self.allma.add(asked, said_nothing, 0.0, marked=True)
            return exc.message
        sources = [citation.passage for citation in answer.citations]
        judgement = judge(asked, answer.text, sources, flagged="disagree" in (answer.caution or ""))
        self.allma.add(asked, judgement, seconds, marked=answer.caution is not None)
        return f"{judgement}: {answer.text!r} ({answer.grounding}, {answer.stats})"


def _narrowed(asked: Asked) -> dict[str, str]:
    return {"path": asked.files} if asked.files else {}


async def run(options: argparse.Namespace, url: str, state: Path, data: Path) -> None:
    until = time.monotonic() + options.minutes * 60
    server = psutil.Process().children()[0]
    # The same prompt each time, so that it is known again.
    prompts.secrets = SimpleNamespace(token_hex=lambda nbytes: "5eed")
    print(options.model)
    for name in options.sets:
        async with asking(name, options, url, state, data, server) as now:
            if name in COMPOUND:
                await measure(name, now, options.n, until)
            else:
                await measure_set(name, now, options, until)


@asynccontextmanager
async def asking(
    name: str,
    options: argparse.Namespace,
    url: str,
    state: Path,
    data: Path,
    server: psutil.Process,
) -> AsyncGenerator[Asking]:
    """An engine that has indexed the files of a set, with its gate calibrated if that is wanted."""
    folder, write = files_of(name)
    config = Config(
        data_dir=data / folder / "data",
        embedder="local/all-MiniLM-L6-v2-int7",
        ollama_url=url,
        chat_model=options.model,
    )
    async with open_engine(config) as engine:
        await index(engine, write, data / folder / "files")
        chat = RecordedChatModels(engine.chat, state, server)
        now = BackgroundRequests(quiet_seconds=0.0)
        recorded = dataclasses.replace(engine, chat=chat, background=now)
        if options.gate and folder != "contradictions":
            await calibrate(recorded, options.model)
        # The measurement must not be disturbed by what runs in quiet moments.
        later = BackgroundRequests(quiet_seconds=1e9)
        undisturbed = dataclasses.replace(recorded, background=later)
        yield Asking(undisturbed, chat, options.model, options.show)


def files_of(name: str) -> tuple[str, Callable[[Path], None]]:
    """The folder of a set's index, and what writes its files."""
    if (of := COMPOUND.get(name)) is not None:
        return of.folder, of.write
    folder = "documents" if name in ("natural", "held-out") else name
    return folder, LOADERS[name]().write


async def measure_set(name: str, now: Asking, options: argparse.Namespace, until: float) -> None:
    """Ask the questions of a set in both ways, and print its rows."""
    one = Run(now)
    questions = LOADERS[name]().questions[: options.n]
    for begin in range(0, len(questions), AT_ONCE):
        if time.monotonic() > until:
            break
        await one.ask(questions[begin : begin + AT_ONCE])
    if one.plain.kinds:
        print(TITLE)
        print(f"{name:<12}" + one.plain.row("plain"))
        print(f"{name:<12}" + one.allma.row("allma"), flush=True)


async def calibrate(engine: Engine, name: str) -> None:
    """Measure the gate as the engine does in quiet moments, and say what came out."""
    model = await find_answer_model(name, engine.config, engine.catalog, engine.chat)
    result = await run_calibration(engine, model.with_shortest_context(), None)
    if result is not None:
        await save_calibration(engine.catalog, result)
    print(f"            gate: {result}", flush=True)


async def index(engine: Engine, write: Callable[[Path], None], folder: Path) -> None:
    await asyncio.to_thread(_write, write, folder)
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(folder)]})


def _write(write: Callable[[Path], None], folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        write(folder)


def serving(model: str) -> AbstractContextManager[str]:
    """The address of a model server that has `model`."""
    return model_server(model, longest_answer=LONGEST_ANSWER, stderr=subprocess.DEVNULL)


def main() -> None:
    names = [*LOADERS, *COMPOUND]
    parser = argparse.ArgumentParser(description=(answers.__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(names))
    parser.add_argument("--model", default="qwen-0.5b", help="a model of tests/ollama/fetch.py")
    parser.add_argument("-n", type=int, default=30, help="questions of each set (half of a kind)")
    parser.add_argument("--minutes", type=float, default=20, help="stop asking after so long")
    parser.add_argument("--state", type=Path, help="folder that keeps answers and indexes")
    parser.add_argument("--gate", action="store_true", help="calibrate the gate first, and use it")
    parser.add_argument("--show", action="store_true", help="print every answer")
    options = parser.parse_args()
    # The half that is held out is only asked by name.
    options.sets = options.sets or [name for name in names if not name.endswith("held-out")]
    if not SHARED_DATA.exists():
        raise SystemExit(f"There are no documents in {SHARED_DATA}.")
    with tempfile.TemporaryDirectory() as temporary, serving(options.model) as url:
        folder = options.state or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(run(options, url, folder / f"{options.model}.jsonl", folder))


if __name__ == "__main__":
    main()
