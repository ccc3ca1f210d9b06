"""Stored conversations, jobs and settings."""

from typing import Any

import pytest

from allma_server.errors import ConversationNotFound, InvalidArgument, JobNotFound
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.types import AnswerRecord, Citation, FileReason, IngestReport, Job, Summary
from tests.unit.storage.corpus import publish, search_text


async def one_turn(catalog: Catalog, question: str, answer: str = "An answer.") -> str:
    turn = await catalog.begin_turn(None, question)
    await catalog.finish_turn(turn.conversation_id, AnswerRecord(answer, "llama"))
    return turn.conversation_id


async def test_a_question_is_stored_before_it_is_answered(catalog: Catalog):
    turn = await catalog.begin_turn(None, "What is  a\nwalrus?")
    kept = await catalog.conversation(turn.conversation_id)
    assert kept.title == "What is a walrus?"
    assert [(m.role, m.content) for m in kept.messages] == [("user", "What is  a\nwalrus?")]
    assert turn.earlier == []


async def test_a_long_question_gives_a_short_title(catalog: Catalog):
    turn = await catalog.begin_turn(None, "word " * 100)
    title = (await catalog.conversation(turn.conversation_id)).title
    assert len(title) <= 80 and title.endswith("word\u2026")


async def test_a_turn_includes_the_earlier_messages(catalog: Catalog):
    conversation = await one_turn(catalog, "first?", "first!")
    turn = await catalog.begin_turn(conversation, "second?")
    assert [m.content for m in turn.earlier] == ["first?", "first!"]
    assert (await catalog.conversation(conversation)).message_count == 3


async def test_a_question_replaces_a_turn_and_the_following_ones(catalog: Catalog):
    conversation = await one_turn(catalog, "first?", "first!")
    turn = await catalog.begin_turn(conversation, "second?")
    answer = await catalog.finish_turn(conversation, AnswerRecord("second!", "llama"))
    for named in (turn.message_id, answer):
        planned = await catalog.plan_turn(named, "third?")
        assert (planned.conversation_id, planned.replaces) == (conversation, turn.message_id)
        assert [m.content for m in planned.earlier] == ["first?", "first!"]
    assert (await catalog.conversation(conversation)).message_count == 4

    await catalog.replace_turn(planned)
    await catalog.finish_turn(conversation, AnswerRecord("third!", "llama"))
    kept = await catalog.conversation(conversation)
    assert [m.content for m in kept.messages] == ["first?", "first!", "third?", "third!"]
    assert kept.messages[2].id == planned.message_id
    assert kept.title == "first?"


async def test_a_replaced_first_question_sets_the_title_unless_the_user_did(catalog: Catalog):
    for title, expected in ((None, "edited?"), ("Mine", "Mine")):
        conversation = await one_turn(catalog, "first?")
        if title:
            await catalog.rename_conversation(conversation, title)
        [question, _] = (await catalog.conversation(conversation)).messages
        await catalog.replace_turn(await catalog.plan_turn(question.id, "edited?"))
        assert (await catalog.conversation(conversation)).title == expected


async def test_a_summary_belongs_to_the_last_message_it_covers(catalog: Catalog):
    conversation = await one_turn(catalog, "first?", "first!")
    messages = (await catalog.conversation(conversation)).messages
    for text in ("Too long.", "Short."):
        await catalog.save_summary(conversation, Summary(messages[1].id, text))
    assert await catalog.summary(conversation) == Summary(messages[1].id, "Short.")

    await catalog.replace_turn(await catalog.plan_turn(messages[0].id, "again?"))
    assert await catalog.summary(conversation) is None
    await catalog.save_summary(conversation, Summary(messages[1].id, "Of what is gone."))
    assert await catalog.summary(conversation) is None


async def test_sources_remain_after_their_documents_are_removed(catalog: Catalog):
    document = await publish(catalog, "/w/a.txt", ["a walrus has tusks"])
    [passage] = await catalog.passages(await search_text(catalog, "walrus", 1))
    turn = await catalog.begin_turn(None, "tusks?")
    message = await catalog.finish_turn(
        turn.conversation_id, AnswerRecord("Yes [1].", "llama", [Citation(1, passage)], "cited")
    )
    await catalog.remove([document.id])
    answer = (await catalog.conversation(turn.conversation_id)).messages[1]
    assert (answer.id, answer.model, answer.grounding) == (message, "llama", "cited")
    [source] = answer.sources
    assert (source.number, source.path, source.text) == (1, "/w/a.txt", "a walrus has tusks")
    assert (source.start_line, source.chunk_id) == (1, passage.chunk_id)


async def test_conversations_are_listed_latest_first_and_searched(catalog: Catalog):
    ids = [await one_turn(catalog, f"about {what}?") for what in ("seals", "whales", "100%_x")]
    await catalog.finish_turn(ids[0], AnswerRecord("more on walruses", "llama"))
    seen: list[str] = []
    cursor = None
    while True:
        page = await catalog.conversation_page(None, cursor, 2)
        assert page.total == 3
        seen += [c.id for c in page.conversations]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [ids[0], ids[2], ids[1]]
    for query, expected in {"Walrus": ids[0], "whales": ids[1], "100%_": ids[2]}.items():
        page = await catalog.conversation_page(query, None, 10)
        assert [c.id for c in page.conversations] == [expected]
    assert (await catalog.conversation_page("%", None, 10)).total == 1
    with pytest.raises(InvalidArgument):
        await catalog.conversation_page(None, "nonsense", 10)


async def test_conversations_are_renamed_and_deleted(catalog: Catalog):
    conversation = await one_turn(catalog, "about seals?")
    await catalog.rename_conversation(conversation, "Seals")
    assert (await catalog.conversation(conversation)).title == "Seals"
    await catalog.delete_conversation(conversation)
    for gone in (
        catalog.conversation(conversation),
        catalog.rename_conversation(conversation, "x"),
        catalog.delete_conversation(conversation),
        catalog.begin_turn(conversation, "more?"),
        catalog.finish_turn(conversation, AnswerRecord("late", None)),
    ):
        with pytest.raises(ConversationNotFound):
            await gone
    assert (await catalog.conversation_page(None, None, 10)).conversations == []


def job(number: int, state: Any = "running", report: IngestReport | None = None) -> Job:
    return Job(
        f"job{number}", "ingest", state, "/w", 1, None, "", f"2026-01-01T00:00:{number:02}Z", report
    )


async def test_jobs_are_stored_with_their_reports(catalog: Catalog):
    report = IngestReport(indexed=3, failed=[FileReason("/w/x", "damaged")], seconds=0.5)
    await catalog.save_job(job(1))
    await catalog.save_job(job(2))
    await catalog.save_job(job(1, "done", report))
    assert await catalog.job("job1") == job(1, "done", report)
    assert [j.id for j in await catalog.jobs()] == ["job2", "job1"]
    with pytest.raises(JobNotFound):
        await catalog.job("job9")


async def test_old_jobs_are_deleted(catalog: Catalog, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("allma_server.storage.sqlite.jobs.MAX_JOBS", 3)
    for number in range(6):
        await catalog.save_job(job(number))
    assert [j.id for j in await catalog.jobs()] == ["job5", "job4", "job3"]


async def test_settings_are_stored_and_removed(catalog: Catalog):
    assert await catalog.get_setting("embedder") is None
    await catalog.set_setting("embedder", "a")
    await catalog.set_setting("embedder", "b")
    assert await catalog.get_setting("embedder") == "b"
    await catalog.set_setting("embedder", None)
    assert await catalog.get_setting("embedder") is None
