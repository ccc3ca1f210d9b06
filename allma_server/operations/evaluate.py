"""Measure the quality of search with questions whose answers are known."""

import asyncio
import time
from dataclasses import replace
from statistics import median
from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.workspace_files import read_named
from allma_server.answering.answer_model import find_answer_model
from allma_server.errors import InvalidArgument, NothingToIndex, PathNotFound
from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.scope import FileGlob, WorkspaceFolder, scope_of, sources_of
from allma_server.operations.targets import target, write_new, write_picture
from allma_server.operations.text import render
from allma_server.search.chart import draw_chart
from allma_server.search.evaluate import EvaluatedQuestion, evaluate_question, mean_scores
from allma_server.search.questions import (
    PASSAGES_PER_QUESTION,
    Question,
    generate_questions,
    read_questions,
    sample_passages,
    to_json_lines,
)
from allma_server.search.search import Scope
from allma_server.types import Evaluation, Passage, QuestionRank, StageScores

MAX_FILE_BYTES = 50_000_000
READ_SECONDS = 30.0
"""Limit for reading a file, which may be on a disk that does not answer."""

MAX_DOCUMENTS = 200
"""Documents from which questions are generated."""

_LISTED_QUESTIONS = 20
"""Questions in the text of an evaluation that are listed as not found."""

QuestionFile: TypeAlias = Annotated[
    str,
    Field(
        description="A file of JSON lines or CSV: `question`, and the `path`, `text` or "
        "`lines` to find."
    ),
    ClientPath.FILE,
]


async def evaluate(
    call: Call,
    questions: QuestionFile,
    generate: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="Have the chat model write this many questions about the indexed documents "
            "into that file, which must not exist.",
        ),
    ] = None,
    top_k: Annotated[int, Field(ge=1, le=50, description="Passages of each search to score.")] = 10,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
    against: Annotated[
        str | None,
        Field(description="An earlier result, as JSON, to compare with."),
        ClientPath.FILE,
    ] = None,
    picture: Annotated[
        str | None, Field(description="An SVG file to draw the result into."), ClientPath.FILE
    ] = None,
) -> Evaluation:
    """Measure search on questions whose answers are known: hit@k, MRR and nDCG of each stage.

    Each line of the file has a question and what search should find for it. To compare two
    settings, keep the result, change the setting, and evaluate against that result.
    """
    if picture is not None and not picture.endswith(".svg"):
        raise InvalidArgument(f"{picture} does not end in .svg.", "Name an SVG file.")
    if picture is not None:
        target(picture)
    before = await _earlier(against) if against else None
    scope = await scope_of(call, workspace, path)
    if generate is not None:
        await _generate(call, questions, generate, scope)
    asked = await asyncio.to_thread(read_questions, await _read(questions))
    result = await _evaluated(call, asked, top_k, scope)
    if before is not None:
        result = compared(result, before)
    if picture is not None:
        await asyncio.to_thread(write_picture, picture, draw_chart(result))
    return result


async def _evaluated(call: Call, questions: list[Question], top_k: int, scope: Scope) -> Evaluation:
    sources = sources_of(call)
    found: list[EvaluatedQuestion] = []
    times: list[float] = []
    for number, question in enumerate(questions, start=1):
        began = time.monotonic()
        found.append(await evaluate_question(question, top_k, scope, sources))
        times.append(time.monotonic() - began)
        await call.progress.report(number, len(questions), "searching")
    config = call.engine.config
    return Evaluation(
        questions=len(found),
        top_k=top_k,
        stages=mean_scores(found),
        ranks=[QuestionRank(each.question.text, each.shown.rank) for each in found],
        settings={
            "embedder": await call.engine.embedder.name() or "none",
            "reranker": config.reranker,
            "chunk_size": str(config.chunk_size),
        },
        search_ms=int(median(times) * 1000),
        notice=next((each.notice for each in found if each.notice), None),
    )


def compared(result: Evaluation, before: Evaluation) -> Evaluation:
    """Return the result with an earlier one to compare it with."""
    was = {each.question: each.rank for each in before.ranks}
    changes = [
        (was[each.question] or result.top_k + 1) - (each.rank or result.top_k + 1)
        for each in result.ranks
        if each.question in was
    ]
    return replace(
        result,
        before=replace(before, before=None),
        better=sum(change > 0 for change in changes),
        worse=sum(change < 0 for change in changes),
    )


async def _generate(call: Call, file: str, wanted: int, scope: Scope) -> None:
    if await asyncio.to_thread(target(file).exists):
        raise InvalidArgument(
            f"{file} already exists.", "Leave out `generate` to use its questions."
        )
    engine = call.engine
    found = await find_answer_model(None, engine.config, engine.catalog, engine.chat)
    model = found.with_shortest_context()
    passages = sample_passages(await _passages(call, scope), wanted * PASSAGES_PER_QUESTION)
    questions: list[Question] = []
    written = generate_questions(passages, engine.chat, model.name, model.context_length)
    async for question in written:
        if question is not None:
            questions.append(question)
            await call.progress.report(len(questions), wanted, f"{model.name} writes questions")
        if len(questions) == wanted:
            break
    if not questions:
        raise InvalidArgument(
            f"{model.name} wrote no usable question about the indexed documents.",
            "Index more documents, or choose another model: `allma models use NAME`.",
        )
    await asyncio.to_thread(write_new, file, to_json_lines(questions))


async def _passages(call: Call, scope: Scope) -> list[Passage]:
    """Return the passages of up to `MAX_DOCUMENTS` documents in scope, spread evenly."""
    catalog = call.engine.catalog
    selected = await catalog.select_documents(scope.folders, scope.globs)
    documents: list[int] = selected.documents.tolist()
    every = max(1, len(documents) // MAX_DOCUMENTS)
    passages: list[Passage] = []
    for document_id in documents[::every]:
        passages += await catalog.passages_of(document_id)
    return passages


async def _earlier(file: str) -> Evaluation:
    content = await _read(file)
    try:
        return await asyncio.to_thread(TypeAdapter(Evaluation).validate_json, content)
    except ValidationError as exc:
        raise InvalidArgument(
            f"{file} is not the result of an evaluation.", "`allma eval --json` prints one."
        ) from exc


async def _read(file: str) -> str:
    try:
        content = await call_disk(("eval", file), READ_SECONDS, read_named, file, MAX_FILE_BYTES)
        return content.decode("utf-8")
    except NothingToIndex as exc:
        raise PathNotFound(f"Cannot read {file}. {exc.message}") from exc
    except (OSError, ValueError) as exc:
        raise PathNotFound(f"Cannot read {file}: {exc}.") from exc


@render.register
def _evaluation_text(result: Evaluation) -> str:
    lines = [f"{result.questions} questions, first {result.top_k} passages:"]
    lines += [_scores(stage, result.top_k) for stage in result.stages]
    if result.before is not None:
        lines.append(f"Before: {result.better} questions found higher now, {result.worse} lower.")
        lines += [_scores(stage, result.before.top_k) for stage in result.before.stages]
    missed = [each.question for each in result.ranks if each.rank is None]
    lines += [f"Not found: {question}" for question in missed[:_LISTED_QUESTIONS]]
    if result.notice:
        lines.append(result.notice)
    return "\n".join(lines)


def _scores(stage: StageScores, k: int) -> str:
    return (
        f"{stage.stage}: hit@1 {stage.first:.3f}, hit@{k} {stage.hit:.3f}, MRR {stage.mrr:.3f}, "
        f"nDCG@{k} {stage.ndcg:.3f}"
    )
