"""Summarise passages in their order: at once if they fit, else group by group.

Of a long document the model first notes what each group of passages says, then writes the summary
from its notes. A number in the summary names the passage that supports the note best.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.answer_run import AnswerRun
from allma_server.answering.evidence import Evidence
from allma_server.answering.generation import generate_answer
from allma_server.answering.languages import answer_style
from allma_server.answering.prompts import build_prompt, estimate_tokens, wanted_tokens
from allma_server.errors import EmptyAnswer
from allma_server.types import Answer, Passage, SearchResult

WHOLE_TOKENS = 8192
"""Up to this many tokens of prompt and answer, everything is read at once."""

GROUP_TOKENS = 2000
MAX_GROUPS = 8
NOTE_TOKENS = 160
_NOTE = "What do these passages say? Name the main points in two or three sentences."


async def answer_summary(run: AnswerRun, model: AnswerModel, found: SearchResult) -> Answer:
    """Answer a question for a summary from passages in their order.

    Raises:
        AllmaError: as `generate_answer`.
    """
    run.found = found
    wanted = wanted_tokens(run.question.text, [], found.passages, None) + model.reserved_tokens
    if wanted <= min(WHOLE_TOKENS, model.context_limit):
        return await generate_answer(run, model, is_summary=True)
    groups = _groups(found.passages)
    notes: list[Passage] = []
    sources: list[Passage] = []
    for number, group in enumerate(groups, start=1):
        await run.progress.report(0, None, f"Reading part {number} of {len(groups)}")
        note = await _note(run, model, group)
        if note:
            source = _best_source(note, group)
            notes.append(replace(source, text=note))
            sources.append(source)
    if not notes:
        return await generate_answer(run, model, is_summary=True)
    run.found = replace(found, passages=notes)
    return await generate_answer(run, model, sources, is_summary=True)


def _groups(passages: Sequence[Passage]) -> list[list[Passage]]:
    groups: list[list[Passage]] = [[]]
    size = 0
    for passage in passages:
        cost = estimate_tokens(passage.text)
        if groups[-1] and size + cost > GROUP_TOKENS and len(groups) < MAX_GROUPS:
            groups.append([])
            size = 0
        groups[-1].append(passage)
        size += cost
    return groups


async def _note(run: AnswerRun, model: AnswerModel, group: Sequence[Passage]) -> str:
    """Return what the model notes of a group; empty if it notes nothing."""
    sized = run.sized(model, GROUP_TOKENS + NOTE_TOKENS)
    # The language is that of the passages, though this question is in English.
    style = answer_style("", group)
    prompt = build_prompt(_NOTE, [], group, sized.prompt_tokens, style=style)
    filter = AnswerFilter(_NOTE, prompt.passages)
    with suppress(EmptyAnswer):
        filter.add(await sized.complete(prompt.messages, NOTE_TOKENS))
    filter.finish()
    return "" if filter.grounding == "declined" else filter.plain_text.strip()


def _best_source(note: str, group: Sequence[Passage]) -> Passage:
    number = Evidence.from_passages("", group).find_source(note)
    return group[number - 1 if number else 0]
