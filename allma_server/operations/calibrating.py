"""Calibrate the answerability gate in the background, while nobody asks and nothing is indexed."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from allma_server.answering.answer_model import AnswerModel, find_answer_model
from allma_server.answering.calibration import Probability, calibrate, measure_probability
from allma_server.answering.gate import Calibration, load_calibrations, save_calibration
from allma_server.engine import Engine
from allma_server.errors import AllmaError
from allma_server.operations.call import Call
from allma_server.operations.scope import find
from allma_server.search.questions import (
    PASSAGES_PER_QUESTION,
    Question,
    generate_questions,
    sample_passages,
)
from allma_server.search.search import Scope
from allma_server.types import LOCAL, Answer, Passage

QUESTIONS = 20
"""Questions to ask of each model, each with and without its passages."""

MAX_DOCUMENTS = 200
MIN_DOCUMENTS = 4
"""With fewer documents, hardly a passage is left that is not about the question."""

ResultT = TypeVar("ResultT")
log = logging.getLogger(__name__)


def begin_calibration(engine: Engine, answer: Answer) -> None:
    """Calibrate the model that wrote an answer, in the background, if it was not done yet."""
    model = answer.model
    if model is None or not answer.citations or model in engine.background.calibrating:
        return
    engine.background.calibrating.add(model)
    engine.tasks.create_task(_calibrate_when_quiet(engine, model), name=f"calibrate {model}")


async def _calibrate_when_quiet(engine: Engine, name: str) -> None:
    try:
        await _wait_until_quiet(engine)
        settings, chat = engine.catalog, engine.chat
        found = await find_answer_model(name, engine.config, settings, chat)
        model = found.with_shortest_context()
        digest = next((each.digest for each in await chat.list() if each.name == model.name), None)
        known = (await load_calibrations(settings)).get(model.name)
        if known and (known.digest, known.modified_at) == (digest, model.modified_at):
            return
        result = await run_calibration(engine, model, digest)
        if result is not None:
            await save_calibration(settings, result)
            # They were written without the gate.
            engine.answers.clear()
            log.info("answerability gate of %s: %s", model.name, result)
    except AllmaError as exc:
        # Tried again when the model answers after a restart.
        log.info("answerability gate of %s not calibrated: %s", name, exc)
    except Exception:
        log.exception("answerability gate of %s not calibrated", name)


async def run_calibration(
    engine: Engine, model: AnswerModel, digest: str | None
) -> Calibration | None:
    """Ask a model about the indexed documents; None if too few are indexed.

    Raises:
        ProviderError: the model is unavailable.
    """
    call = Call(engine, LOCAL)
    passages = await _passages(engine)
    if len({passage.document_id for passage in passages}) < MIN_DOCUMENTS:
        return None
    measured: list[Probability] = []
    async with aclosing(_samples(call, model, passages)) as samples:
        async for text, found, is_answerable in samples:
            asked = partial(measure_probability, model, text, found, is_answerable=is_answerable)
            probability = await _quietly(engine, asked)
            if probability is not None:
                measured.append(probability)
    return calibrate(model, digest, measured)


async def _samples(
    call: Call, model: AnswerModel, passages: list[Passage]
) -> AsyncGenerator[tuple[str, Sequence[Passage], bool]]:
    """Yield questions with passages, and whether these contain the answer."""
    asked = 0
    for source in sample_passages(passages, QUESTIONS * PASSAGES_PER_QUESTION):
        question = await _quietly(call.engine, partial(_question_about, call.engine, model, source))
        if question is None:
            continue
        found = (await find(call, question.text, None, Scope())).passages
        if not any(each.chunk_id == source.chunk_id for each in found):
            continue  # it does not tell what it is about, and a user's question does
        yield question.text, found, True
        if others := await _without_answer(call, question.text, source, len(found)):
            yield question.text, others, False
        asked += 1
        if asked == QUESTIONS:
            return


async def _without_answer(
    call: Call, question: str, source: Passage, count: int
) -> Sequence[Passage]:
    """Return what a search finds elsewhere; for half of the questions in another folder."""
    wider = (await find(call, question, 50, Scope())).passages
    others = [each for each in wider if each.document_id != source.document_id]
    elsewhere = [each for each in others if each.workspace != source.workspace]
    chosen = elsewhere if elsewhere and source.chunk_id % 2 else others
    return chosen[:count]


async def _question_about(engine: Engine, model: AnswerModel, passage: Passage) -> Question | None:
    questions = generate_questions([passage], engine.chat, model.name, model.context_length)
    async with aclosing(questions):
        return await anext(questions, None)


async def _passages(engine: Engine) -> list[Passage]:
    selected = await engine.catalog.select_documents()
    documents: list[int] = selected.documents.tolist()
    passages: list[Passage] = []
    for document_id in documents[:: max(1, len(documents) // MAX_DOCUMENTS)]:
        passages += await engine.catalog.passages_of(document_id)
    return passages


async def _quietly(engine: Engine, request: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
    """Make a request to the model; None if it was given up because somebody asked a question."""
    await _wait_until_quiet(engine)
    failure: AllmaError | None = None

    async def guarded() -> ResultT | None:
        nonlocal failure
        try:
            return await request()
        except AllmaError as exc:
            failure = exc
            return None

    async with asyncio.TaskGroup() as group:
        task = group.create_task(guarded())
        engine.background.requests.add(task)
        task.add_done_callback(engine.background.requests.discard)
    if failure is not None:
        raise failure
    return None if task.cancelled() else task.result()


async def _wait_until_quiet(engine: Engine) -> None:
    """Wait until nobody has asked and nothing was indexed for a while."""
    since = time.monotonic()
    while time.monotonic() - since < engine.background.quiet_seconds:
        await asyncio.sleep(min(1.0, engine.background.quiet_seconds / 4))
        if engine.questions or engine.ingestion.is_indexing:
            since = time.monotonic()
