"""Answer a question of several parts: search and read for each part, then put them together.

Each part is answered from its own passages, which a small model can do; a part without an answer is
searched again in other words. A model may answer two parts at once: the second is then neither said
again nor missing. Where the gate is in use (`gate.py`), it is asked about each part, so that a "no"
costs one token instead of a guess. The answer says which parts were not found. Calls and time are
bounded: one to take the question apart, and at most two for each part, with the gate's token before
each of these.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.answer_run import AnswerRun, Search
from allma_server.answering.back_references import dependence
from allma_server.answering.citations import number_passages
from allma_server.answering.evidence import MIN_SENTENCE_SUPPORT
from allma_server.answering.followup import fuse
from allma_server.answering.gate import check_answerable
from allma_server.answering.generation import generate_answer
from allma_server.answering.parts import (
    PLAN_TOKENS,
    may_have_parts,
    parse_parts,
    plan_prompt,
    split_by_form,
)
from allma_server.answering.prompts import build_prompt, wanted_tokens
from allma_server.answering.sentences import split_sentences
from allma_server.answering.statements import Statement, read_statement
from allma_server.errors import EmptyAnswer, ProviderError
from allma_server.types import Answer, Passage, SearchResult

DEEP_SECONDS = 600.0
"""After this no further part is begun."""

PART_TOKENS = 300
PART_PASSAGES = 5
NOT_FOUND = "Not found in the documents"
_NOT_READ = "Not looked at, because the time was up"


@dataclass(slots=True)
class _Findings:
    """What was found so far: paragraphs, and the passages that they cite, numbered from 1."""

    paragraphs: list[str] = field(default_factory=list[str])
    passages: list[Passage] = field(default_factory=list[Passage])
    cited: set[int] = field(default_factory=set[int])
    missing: list[str] = field(default_factory=list[str])
    unread: list[str] = field(default_factory=list[str])

    def numbers(self, passages: Sequence[Passage]) -> list[int]:
        """Return the number of each passage, adding those that are new."""
        known = {passage.chunk_id: n for n, passage in enumerate(self.passages, start=1)}
        for passage in passages:
            if passage.chunk_id not in known:
                self.passages.append(passage)
                known[passage.chunk_id] = len(self.passages)
        return [known[passage.chunk_id] for passage in passages]


async def answer_deeply(run: AnswerRun, model: AnswerModel, search: Search) -> Answer:
    """Answer the question of `run` part by part; one without parts is answered as usual.

    Raises:
        AllmaError: as `generate_answer`. What was found before is stored.
    """
    model = replace(model.with_shortest_context(), think="off" if model.can_think else "auto")
    parts = await _find_parts(run, model)
    if len(parts) == 1:
        await run.search(search, None)
        return await generate_answer(run, model)
    deep = _DeepAnswer(run, model, search)
    return await deep.answer(parts)


async def _find_parts(run: AnswerRun, model: AnswerModel) -> list[str]:
    question = run.question.text
    parts = split_by_form(question)
    if len(parts) > 1 or not may_have_parts(question):
        return parts
    await run.progress.report(0, None, "Taking the question apart")
    try:
        return parse_parts(await model.complete(plan_prompt(question), PLAN_TOKENS), question)
    except EmptyAnswer:
        return [question]


class _DeepAnswer:
    def __init__(self, run: AnswerRun, model: AnswerModel, search: Search) -> None:
        self._run = run
        self._model = model
        self._search = search
        self._found = _Findings()
        self._notices: list[SearchResult] = []

    async def answer(self, parts: Sequence[str]) -> Answer:
        run, found = self._run, self._found
        try:
            for number, part in enumerate(parts, start=1):
                if time.monotonic() - run.began > DEEP_SECONDS:
                    found.unread.append(part)
                    continue
                await self._answer_part(part, f"Part {number} of {len(parts)}")
        except ProviderError:
            await self._store_partial()
            raise
        for lead, missing in ((NOT_FOUND, found.missing), (_NOT_READ, found.unread)):
            if missing:
                await self._show(f"{lead}: {'; '.join(missing)}")
        grounding = "cited" if found.cited else "uncited"
        if not found.paragraphs or len(found.missing) == len(parts):
            grounding = "declined"
        citations = number_passages(found.passages, found.cited)
        limited = next((each for each in self._notices if each.notice), SearchResult([]))
        run.found = replace(limited, passages=found.passages)
        return await run.conclude(self._text, citations, grounding, model=self._model.name)

    @property
    def _text(self) -> str:
        return "\n\n".join(self._found.paragraphs)

    async def _answer_part(self, part: str, label: str) -> None:
        """Answer one part from its passages, and from others if these do not say it."""
        question = self._run.question.text
        await self._run.progress.report(0, None, f"{label}: searching")
        queries = [part] if dependence(part) == "none" else [part, f"{question}\n{part}"]
        passages = await self._passages(queries)
        if await self._read(part, passages, label):
            return
        seen = {passage.chunk_id for passage in passages}
        await self._run.progress.report(0, None, f"{label}: searching again")
        others = await self._passages([f"{question}\n{part}"])
        others = [passage for passage in others if passage.chunk_id not in seen]
        if not await self._read(part, others, label) and not self._is_said(part):
            self._found.missing.append(part)

    async def _passages(self, queries: Sequence[str]) -> list[Passage]:
        began = time.monotonic()
        result = fuse([await self._search(query) for query in queries])
        self._notices.append(result)
        self._run.retrieval_ms += int((time.monotonic() - began) * 1000)
        return list(result.passages[:PART_PASSAGES])

    async def _read(self, part: str, passages: Sequence[Passage], label: str) -> bool:
        """Have the model answer a part; return whether the passages say it."""
        if not passages:
            return False
        await self._run.progress.report(0, None, f"{label}: reading {len(passages)} passages")
        whole = self._run.question.text
        asked = part if dependence(part) == "none" else f"{part} (asked within: {whole})"
        sized = self._run.sized(self._model, wanted_tokens(asked, [], passages, None))
        prompt = build_prompt(asked, [], passages, sized.prompt_tokens)
        gate = await check_answerable(part, sized, prompt, self._run.settings)
        if gate is not None and gate.refused:
            return False
        before = len(self._found.passages)
        numbers = self._found.numbers(prompt.passages)
        filter = AnswerFilter(part, prompt.passages, numbers=numbers)
        with suppress(EmptyAnswer):
            filter.add(await sized.complete(prompt.messages, PART_TOKENS))
        filter.finish()
        if filter.grounding == "declined" or not filter.text.strip():
            del self._found.passages[before:]
            return False
        if self._is_repeated(filter.plain_text):
            return True
        self._found.cited |= {c for n, c in enumerate(numbers, start=1) if n in filter.cited}
        await self._show(filter.text.strip())
        return True

    def _is_said(self, part: str) -> bool:
        """Return whether the answer to an earlier part has a sentence about this one as well."""
        asked = read_statement(part).terms
        return any(len(asked & s.terms) >= MIN_SENTENCE_SUPPORT * len(asked) for s in self._said())

    def _is_repeated(self, text: str) -> bool:
        """Return whether earlier sentences have all words of each sentence of a text."""
        said = self._said()
        return all(
            any(each.terms and each.terms <= s.terms and each.negated == s.negated for s in said)
            for each in map(read_statement, split_sentences(text))
        )

    def _said(self) -> list[Statement]:
        return list(map(read_statement, split_sentences(self._text)))

    async def _show(self, paragraph: str) -> None:
        run = self._run
        await run.begin_text()
        await run.progress.text(f"\n\n{paragraph}" if self._found.paragraphs else paragraph)
        self._found.paragraphs.append(paragraph)

    async def _store_partial(self) -> None:
        if self._found.paragraphs:
            citations = number_passages(self._found.passages, self._found.cited)
            await self._run.save(f"{self._text} …", citations, self._model.name, "cut_off")
