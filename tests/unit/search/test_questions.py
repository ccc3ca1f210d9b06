from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from allma_server.errors import InvalidArgument
from allma_server.providers.chat.scripted import ScriptedChatModels
from allma_server.search.questions import (
    Expected,
    Question,
    generate_questions,
    read_questions,
    sample_passages,
    to_json_lines,
)
from allma_server.types import Passage, ReplyEvent, TextDelta

PASSAGE = Passage(
    "/w/docs/guide.md", "/w", 1, 7, 3, "The  port\nis 7443.", 1.0, 10, 20, None, [], "file:///"
)


def test_a_passage_matches_by_path_text_or_lines():
    assert Expected("/w/docs/guide.md").matches(PASSAGE)
    assert Expected("docs/guide.md").matches(PASSAGE)
    assert not Expected("ocs/guide.md").matches(PASSAGE)
    assert not Expected("other/guide.md").matches(PASSAGE)
    assert Expected(text="the port is 7443").matches(PASSAGE)
    assert not Expected(text="7444").matches(PASSAGE)
    assert Expected("guide.md", lines=(20, 30)).matches(PASSAGE)
    assert not Expected("guide.md", lines=(21, 30)).matches(PASSAGE)
    assert not Expected("guide.md", "7444", (10, 10)).matches(PASSAGE)


def test_json_lines_and_csv_give_the_same_questions():
    lines = '{"question": "which port?", "path": "guide.md", "lines": "10-20"}\n\n'
    table = "question,path,text,lines\nwhich port?,guide.md,,10-20\n"
    expected = [Question("which port?", (Expected("guide.md", lines=(10, 20)),))]
    assert read_questions(lines) == expected
    assert read_questions(table) == expected
    assert read_questions("\ufeff" + table) == expected


def test_a_question_may_expect_several_passages():
    [question] = read_questions(
        '{"question": "q", "expected": [{"path": "a.md", "text": "x"}, "b.md"]}'
    )
    assert question.expected == (Expected("a.md", "x"), Expected("b.md"))


def test_written_questions_can_be_read():
    questions = [
        Question("Größe?", (Expected("/a b.md", lines=(1, 9)), Expected(text='say "x"'))),
        Question("q", (Expected("c"),)),
    ]
    assert read_questions(to_json_lines(questions)) == questions


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no questions"),
        ("question,path\n", "no questions"),
        ('{"question": "q"}', "Line 1 does not name"),
        ('{"question": "q", "path": "a"}\n{"path": "a"}', "Line 2 has no question"),
        ('{"question": "q", "path": "a"}\n{oops', "Line 2 is not JSON"),
        ('{"question": "q", "expected": []}', "Line 1 has no question or no"),
        ('{"question": "q", "lines": "all"}', "Line 1 does not name"),
        ("name,path\nq,a\n", "Line 2 has no question"),
    ],
)
def test_an_invalid_file_is_refused_with_the_line(content: str, message: str):
    with pytest.raises(InvalidArgument, match=message):
        read_questions(content)


def test_a_sample_has_long_passages_from_many_documents():
    long = [
        replace(PASSAGE, document_id=document, chunk_id=document * 100 + n, text="word " * 50)
        for document in range(1, 4)
        for n in range(20)
    ]
    taken = sample_passages([PASSAGE, *long], 6)
    assert [p.document_id for p in taken[:3]] != [taken[0].document_id] * 3
    assert sorted(p.document_id for p in taken) == [1, 1, 2, 2, 3, 3]
    assert taken == sample_passages([PASSAGE, *long], 6)
    assert sample_passages([], 3) == []


async def test_a_chat_model_writes_a_question_about_each_passage():
    asking = replace(PASSAGE, text="The port is 7443.\nWhich one is it?")
    made = [q async for q in generate_questions([asking, PASSAGE], ScriptedChatModels(), "echo")]
    # The scripted model repeats the last line, which is a question in one of them.
    expected = (Expected(PASSAGE.path, lines=(10, 20)),)
    assert made == [Question("You asked: Which one is it?", expected), None]


class OneReply(ScriptedChatModels):
    """Writes the same text, whatever it is asked."""

    def __init__(self, reply: str) -> None:
        super().__init__()
        self._reply = reply

    async def stream(self, *args: object, **more: object) -> AsyncGenerator[ReplyEvent]:
        yield TextDelta(self._reply)


@pytest.mark.parametrize(
    ("reply", "is_asked"),
    [
        ("What is the main purpose of the passage?", False),
        ("Which port does the document name?", False),
        ("Which port does the context use?", True),
        ("How long may a text be?", True),
    ],
)
async def test_a_question_that_only_a_reader_of_the_passage_understands_is_dropped(
    reply: str, is_asked: bool
):
    passage = replace(PASSAGE, text="The port is 7443, and a text has 80 characters.")
    [made] = [q async for q in generate_questions([passage], OneReply(reply), "any")]
    assert (made is not None) == is_asked
