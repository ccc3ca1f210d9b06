"""Measure what the language of the last instruction changes, with a real small model.

    python -m tests.benchmarks.answer_languages [LANGUAGE …] [--model qwen-1.5b] [-n 8]

Questions of `language_sets/` are asked with their passage and three others, and with the others
alone, where they have no answer. Rows: the instruction in English, and in the language of question
and passages. `right`: the passage with the answer is cited, or only the others are there and the
model declines. `gate`: the chance that the first word of a short answer is surer where there is
one.
"""

import argparse
import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import httpx

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.calibration import area_under_curve
from allma_server.answering.gate import probability_of_answer
from allma_server.answering.languages import ENGLISH
from allma_server.answering.prompts import Prompt, build_prompt
from allma_server.types import ChatMessage, Passage
from tests.benchmarks.languages import SETS, read_set
from tests.ollama.fixtures import serving

OTHERS = 3
PROMPT_TOKENS = 3500
LONGEST_ANSWER = 120
TITLE = "              answered: right declined  not: right     gate"


@dataclass(frozen=True)
class Asked:
    """A question, and passages of which the first has the answer."""

    text: str
    passages: Sequence[Passage]


@dataclass(frozen=True)
class Model:
    """A model behind an Ollama-compatible server."""

    http: httpx.AsyncClient
    name: str

    async def answer(self, asked: Asked, passages: Sequence[Passage], style: str | None) -> str:
        prompt = _prompt(asked, passages, style)
        said = await self._chat(prompt.messages, LONGEST_ANSWER)
        answer = AnswerFilter(asked.text, prompt.passages)
        answer.add(said["message"]["content"])
        answer.finish()
        if answer.grounding == "declined":
            return "declined"
        return "right" if 1 in answer.cited else "other"

    async def probability(self, asked: Asked, passages: Sequence[Passage]) -> float:
        gate = _prompt(asked, passages, None).gate
        said = await self._chat(gate, 1, logprobs=True, top_logprobs=20)
        tokens = said["logprobs"][0]["top_logprobs"]
        of = {token["token"]: math.exp(token["logprob"]) for token in tokens}
        probability = probability_of_answer(of)
        return 0.5 if probability is None else probability

    async def _chat(
        self, messages: Sequence[ChatMessage], length: int, **more: object
    ) -> dict[str, Any]:
        asked = [{"role": each.role, "content": each.content} for each in messages]
        body = {"model": self.name, "messages": asked, "stream": False, **more}
        body["options"] = {"temperature": 0, "num_predict": length}
        return (await self.http.post("/api/chat", json=body)).json()


def _prompt(asked: Asked, passages: Sequence[Passage], style: str | None) -> Prompt:
    return build_prompt(asked.text, [], passages, PROMPT_TOKENS, boundary="5eed", style=style)


def read_questions(language: str, count: int) -> list[Asked]:
    found = read_set(SETS / f"{language}.txt")
    passages = {each["id"]: _passage(n, each["text"]) for n, each in enumerate(found.documents)}
    dice = random.Random(5)
    asked: list[Asked] = []
    for question in dice.sample(found.questions, count):
        (right,) = question.relevant
        others = dice.sample([p for name, p in passages.items() if name != right], OTHERS)
        asked.append(Asked(question.text, [passages[right], *others]))
    return asked


def _passage(number: int, text: str) -> Passage:
    path = f"/w/{number}.md"
    return Passage(path, "/w", number, number, 0, text, 1.0, 1, 1, None, [], f"file://{path}")


async def measure(language: str, model: Model, count: int) -> None:
    questions = read_questions(language, count)
    sure = [await model.probability(each, each.passages) for each in questions]
    unsure = [await model.probability(each, each.passages[1:]) for each in questions]
    for name, style in (("English", ENGLISH), ("its own", None)):
        yes = [await model.answer(each, each.passages, style) for each in questions]
        no = [await model.answer(each, each.passages[1:], style) for each in questions]
        shares = (
            mean(each == "right" for each in yes),
            mean(each == "declined" for each in yes),
            mean(each == "declined" for each in no),
            area_under_curve(sure, unsure),
        )
        print(f"{language:<4}{name:<12}" + "".join(f"{s:9.3f}" for s in shares), flush=True)


async def run(languages: Sequence[str], name: str, count: int, url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=600, trust_env=False) as http:
        print(TITLE)
        for language in languages:
            await measure(language, Model(http, name), count)


def main() -> None:
    known = sorted(path.stem for path in SETS.glob("*.txt"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=", ".join(known))
    parser.add_argument("--model", default="qwen-1.5b", help="a model of tests/ollama/fetch.py")
    parser.add_argument("-n", type=int, default=8, help="questions of each language")
    options = parser.parse_args()
    with serving(options.model, longest_answer=LONGEST_ANSWER) as url:
        asyncio.run(run(options.languages or known, options.model, options.n, url))


if __name__ == "__main__":
    main()
