from dataclasses import replace

import pytest

from allma_server.errors import InvalidArgument
from allma_server.providers.chat.scripted import ScriptedChatModels
from allma_server.search.questions import (
    Expected,
    Question,
    ask_about,
    read_questions,
    sample,
    written,
)
from allma_server.types import Passage

PASSAGE = Passage(
    "/w/docs/guide.md", "/w", 1, 7, 3, "The  port\nis 7443.", 1.0, 10, 20, None, [], "file:///"
)


def test_what_is_expected_may_be_a_path_a_text_or_lines():
    assert Expected("/w/docs/guide.md").met_by(PASSAGE)
    assert Expected("docs/guide.md").met_by(PASSAGE)
    assert not Expected("ocs/guide.md").met_by(PASSAGE)
    assert not Expected("other/guide.md").met_by(PASSAGE)
    assert Expected(text="the port is 7443").met_by(PASSAGE)
    assert not Expected(text="7444").met_by(PASSAGE)
    assert Expected("guide.md", lines=(20, 30)).met_by(PASSAGE)
    assert not Expected("guide.md", lines=(21, 30)).met_by(PASSAGE)
    assert not Expected("guide.md", "7444", (10, 10)).met_by(PASSAGE)


def test_json_lines_and_csv_say_the_same():
    lines = '{"question": "which port?", "path": "guide.md", "lines": "10-20"}\n\n'
    table = "question,path,text,lines\nwhich port?,guide.md,,10-20\n"
    expected = [Question("which port?", (Expected("guide.md", lines=(10, 20)),))]
    assert read_questions(lines) == expected
    assert read_questions(table) == expected
    assert read_questions("\ufeff" + table) == expected


def test_several_things_may_be_expected():
    [question] = read_questions(
        '{"question": "q", "expected": [{"path": "a.md", "text": "x"}, "b.md"]}'
    )
    assert question.expected == (Expected("a.md", "x"), Expected("b.md"))


def test_what_is_written_can_be_read():
    questions = [
        Question("Größe?", (Expected("/a b.md", lines=(1, 9)), Expected(text='say "x"'))),
        Question("q", (Expected("c"),)),
    ]
    assert read_questions(written(questions)) == questions


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no questions"),
        ("question,path\n", "no questions"),
        ('{"question": "q"}', "Line 1 does not say"),
        ('{"question": "q", "path": "a"}\n{"path": "a"}', "Line 2 has no question"),
        ('{"question": "q", "path": "a"}\n{oops', "Line 2 is not JSON"),
        ('{"question": "q", "expected": []}', "Line 1 has no question, or nothing"),
        ('{"question": "q", "lines": "all"}', "Line 1 does not say"),
        ("name,path\nq,a\n", "Line 2 has no question"),
    ],
)
def test_a_bad_file_is_told_by_its_line(content: str, said: str):
    with pytest.raises(InvalidArgument, match=said):
        read_questions(content)


def test_a_sample_takes_long_passages_from_all_documents_in_turn():
    long = [
        replace(PASSAGE, document_id=document, chunk_id=document * 100 + n, text="word " * 50)
        for document in range(1, 4)
        for n in range(20)
    ]
    taken = sample([PASSAGE, *long], 6)
    assert [p.document_id for p in taken[:3]] != [taken[0].document_id] * 3
    assert sorted(p.document_id for p in taken) == [1, 1, 2, 2, 3, 3]
    assert taken == sample([PASSAGE, *long], 6)
    assert sample([], 3) == []


async def test_a_model_is_asked_for_a_question_about_each_passage():
    asking = replace(PASSAGE, text="The port is 7443.\nWhich one is it?")
    made = [q async for q in ask_about([asking, PASSAGE], ScriptedChatModels(), "echo")]
    # The scripted model repeats the last line, which is a question in one of them.
    expected = (Expected(PASSAGE.path, lines=(10, 20)),)
    assert made == [Question("You asked: Which one is it?", expected), None]
