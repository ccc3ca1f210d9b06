"""Have a model answer from passages: prompt, gate, the stream of its answer, its checks."""

import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from allma_server._internal.tasks import completed
from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.answer_run import AnswerRun
from allma_server.answering.citations import number_passages
from allma_server.answering.followup import fit_history
from allma_server.answering.gate import check_answerable
from allma_server.answering.loops import LoopDetector
from allma_server.answering.prompts import Prompt, build_prompt, wanted_tokens
from allma_server.answering.refusal import REFUSAL
from allma_server.errors import AllmaError, AnswerInterrupted, EmptyAnswer, ProviderUnreachable
from allma_server.types import (
    Answer,
    Citation,
    Finish,
    GateStats,
    Passage,
    ReplyEvent,
    TextDelta,
    ThoughtDelta,
)

CUT = "Only the beginning of the attached text fits into the model's context."

# Dots, or an empty code block.
_EMPTY_TEXT = re.compile(r"(?:[\s.…]|```\w*\s*```)*")


async def generate_answer(
    run: AnswerRun,
    model: AnswerModel,
    sources: Sequence[Passage] | None = None,
    *,
    is_summary: bool = False,
) -> Answer:
    """Have the model answer from the passages found; if it is stopped, the part is stored.

    Args:
        run: the question with its passages.
        model: with any context; it gets one that the prompt needs.
        sources: the passages to cite, if those found are notes of them.
        is_summary: the passages are chosen by their place: there is always an answer, so the model
            is not asked first if there is one, and a sentence may be from several documents.

    Raises:
        EmptyAnswer: the model generated nothing; no answer is stored.
        AnswerInterrupted: the stream broke off; the partial answer is stored and marked as such.
    """
    if run.question.use_rag and not run.found.passages:
        return await run.decline()
    sized, prompt = await _build_prompt(run, model)
    return await _Generation(run, sized, prompt, sources, is_summary=is_summary).answer()


async def _build_prompt(run: AnswerRun, model: AnswerModel) -> tuple[AnswerModel, Prompt]:
    """Build the prompt from the question, its passages and the earlier messages.

    Returns the model with the context that the prompt needs.
    """
    earlier, passages, text = run.turn.earlier, run.found.passages, run.question.text
    known = await run.store.summary(run.turn.conversation_id) if earlier else None
    known, latest = fit_history(earlier, known, model.history_tokens)
    summary = known.text if known else None
    sized = run.sized(model, wanted_tokens(text, latest, passages, summary))
    return sized, build_prompt(text, latest, passages, sized.prompt_tokens, summary=summary)


class _Generation:
    """The answer of one model to one prompt."""

    def __init__(
        self,
        run: AnswerRun,
        model: AnswerModel,
        prompt: Prompt,
        sources: Sequence[Passage] | None,
        *,
        is_summary: bool,
    ) -> None:
        self._run = run
        self._model = model
        self._prompt = prompt
        self._sources = sources
        self._is_summary = is_summary
        self._filter = self._new_filter()
        self._finish: Finish | None = None
        self._stopped: str | None = None
        self._gate: GateStats | None = None

    async def answer(self) -> Answer:
        run, model = self._run, self._model
        if count := len(self._prompt.passages):
            passages = "1 passage" if count == 1 else f"{count} passages"
            await run.progress.report(0, None, f"Reading {passages}")
        try:
            # What the user asks of a text, such as a summary, need not be written in it.
            asks_gate = not self._is_summary and not run.question.attached
            if not asks_gate or not await self._is_refused():
                await self._stream_thinking()
        except BaseException as exc:
            rest = self._filter.cut_off()
            if isinstance(exc, AllmaError):
                await run.show(rest)
            made = self._filter
            if not _EMPTY_TEXT.fullmatch(made.text):
                saved = run.save(made.text, self._citations, model.name, made.grounding)
                await completed(saved)
            elif isinstance(exc, ProviderUnreachable):
                return await run.return_passages(exc)
            raise
        made, finish = self._filter, self._finish or Finish("stop")
        is_truncated = _is_truncated(finish, self._prompt) or finish.reason == "length"
        return await run.conclude(
            made.text,
            self._citations,
            made.grounding,
            model=model.name,
            stats=run.stats(finish, gate=self._gate, is_truncated=is_truncated),
            notice=self._notice(),
        )

    async def _is_refused(self) -> bool:
        """Return whether the model says that the passages do not answer, and show that."""
        run = self._run
        self._gate = await check_answerable(
            run.question.text, self._model, self._prompt, run.settings
        )
        if self._gate is None or not self._gate.refused:
            return False
        await self._handle(TextDelta(REFUSAL))
        self._finish = Finish("stop")
        await run.show(self._filter.finish())
        return True

    def _notice(self) -> str | None:
        """Return what limits the answer: it was stopped, the search, sources that say otherwise."""
        says = None
        if self._filter.disagreeing:
            says = "Sources [{}] and [{}] disagree.".format(*self._filter.disagreeing)
        if self._filter.overlooked:
            says = 'Source [{}] says: "{}"'.format(*self._filter.overlooked)
        cut = CUT if self._is_attachment_cut() else None
        limits = (self._stopped, cut, self._run.found.notice, says)
        return " ".join(filter(None, limits)) or None

    def _is_attachment_cut(self) -> bool:
        """Return whether the text that the question is about is too long for the prompt."""
        run = self._run
        if not run.question.attached:
            return False
        text, last = run.question.text, run.turn.earlier[-2:]
        wanted = wanted_tokens(text, last, run.found.passages[:1], None)
        return wanted > self._model.prompt_tokens

    def _new_filter(self) -> AnswerFilter:
        return AnswerFilter(
            self._run.question.text,
            self._prompt.passages,
            is_limited=self._run.is_limited,
            is_summary=self._is_summary,
        )

    async def _stream_thinking(self) -> None:
        """Stream the answer; ask again without thinking if a model only thought."""
        try:
            await self._stream(self._model)
        except EmptyAnswer as exc:
            if not exc.thought or self._model.think != "on":
                raise
            await self._stream(replace(self._model, think="off"))

    async def _stream(self, model: AnswerModel) -> None:
        stream = model.stream(self._prompt.messages, retry=self._run.turn.replaces is not None)
        loops = LoopDetector()
        async with aclosing(stream) as events:
            async for event in events:
                await self._handle(event)
                if isinstance(event, TextDelta) and loops.add(event.text):
                    self._stopped = f"{model.name} repeated itself and was stopped."
                    await self._run.show(self._filter.cut_off())
                    return
        await self._end()

    async def _end(self) -> None:
        """Show the rest of an answer that the model ended."""
        name = self._model.name
        if self._finish is None:
            raise AnswerInterrupted(
                f"{name} stopped before its answer was complete.",
                "Ask again to have it repeated.",
            )
        if self._finish.text is not None:
            # The text shown before turned out to be thinking: only the answer is stored.
            self._filter = self._new_filter()
            self._filter.add(self._finish.text)
        is_whole = self._finish.reason != "length"
        await self._run.show(self._filter.finish() if is_whole else self._filter.cut_off())
        if _EMPTY_TEXT.fullmatch(self._filter.text):
            raise EmptyAnswer(
                f"{name} ended without saying anything.",
                "Ask again, or choose another model: `allma models list` shows them.",
            )

    async def _handle(self, event: ReplyEvent) -> None:
        if not isinstance(event, ThoughtDelta):
            await self._run.begin_text()
        match event:
            case ThoughtDelta(text):
                await self._run.progress.thinking(text)
            case TextDelta(text):
                await self._run.show(self._filter.add(text))
            case Finish():
                self._finish = event

    @property
    def _citations(self) -> list[Citation]:
        """The passages of the answer, or those that its notes are of."""
        if self._sources is None:
            return self._filter.citations
        return number_passages(self._sources, self._filter.cited)


def _is_truncated(finish: Finish, prompt: Prompt) -> bool:
    # Ollama silently drops what does not fit; a token count far below the estimate reveals it.
    return (
        finish.prompt_tokens is not None
        and finish.prompt_tokens > 1
        and finish.prompt_tokens < prompt.estimated_tokens * 0.3
    )
