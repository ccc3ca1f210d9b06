"""Passages bear out a statement, or do not: whatever the model has cited."""

from pathlib import PurePath

import pytest

from allma_server.answering.attachment import attached_passage
from allma_server.answering.evidence import Evidence
from allma_server.types import Passage

MOON = "The probe will reach the moon Ymir in 2034. Ymir is cold. On Ymir it rains methane."
MORE = "Ymir has lakes. Ymir was seen by a probe."
TABLE = "Property: temperature, mean: 14 degrees, of the Earth."


def evidence(question: str, *passages: tuple[str, str]) -> Evidence:
    return Evidence.from_passages(question, passages_of(*passages))


def both_passages() -> list[Passage]:
    return passages_of(("/w/moon.md", MOON), ("/w/moon.md", MORE))


def passages_of(*passages: tuple[str, str]) -> list[Passage]:
    return [
        Passage(
            path,
            "/w",
            len(PurePath(path).stem),
            number,
            number,
            text,
            1.0,
            1,
            2,
            None,
            [],
            f"file://{path}",
        )
        for number, (path, text) in enumerate(passages)
    ]


def test_a_word_of_the_question_may_be_in_a_compound():
    text = "# Mietvertrag\n\nDie Miete beträgt 980 Euro."
    said = "Die Miete beträgt 980 Euro."
    assert evidence("Was sagt der Vertrag?", ("/w/a.md", text)).find_sources(said) == [1]
    assert evidence("Wer ist Ida Lind?", ("/w/a.md", text)).find_sources(said) == []


def test_a_passage_about_something_else_is_no_source():
    asked = "How many degrees does Ymir have on average?"
    both = evidence(asked, ("/w/moon.md", MOON), ("/w/moon.md", MORE), ("/w/tables.md", TABLE))
    assert both.correct_citations([3], "Ymir has 14 degrees on average.") == []
    # What the user gave with the question is about it.
    given = [*both_passages(), attached_passage(TABLE)]
    assert Evidence.from_passages(asked, given).holds([3], "It has 14 degrees on average.")
    # A passage need not name its subject where its path or its document does,
    named = evidence(asked, ("/w/moon.md", MOON), ("/w/moon.md", MORE), ("/w/ymir.md", TABLE))
    assert named.correct_citations([3], "It has 14 degrees on average.") == [3]
    # or where most others do not name it either.
    rare = evidence(asked, ("/w/moon.md", MOON), ("/w/sea.md", "Salt."), ("/w/tables.md", TABLE))
    assert rare.correct_citations([3], "It has 14 degrees on average.") == [3]


@pytest.mark.parametrize(
    ("statement", "holds"),
    [
        ("The home team won 45-17.", True),
        ("The game was won with 45 against 17.", True),
        ("The game was watched by 45 people.", False),
        ("The trip takes 20 minutes.", True),
        ("From 1939 to 1945 no game was played.", True),
    ],
)
def test_one_figure_of_a_score_is_no_figure_of_its_own(statement: str, holds: bool):
    text = (
        "The home team won the game 45-17 on Tuesday. The trip takes 15-20 minutes. "
        "In the years 1939-1945 no game was played."
    )
    found = evidence("How was the game?", ("/w/game.md", text))
    assert found.holds([1], statement) == holds
    assert found.has_unknown_figure(statement) != holds


@pytest.mark.parametrize(
    ("statement", "holds"),
    [
        ("The bridge cost 6.4 million.", False),
        ("It cost 6.4 million.", False),
        ("The station cost 6.4 million.", True),
        ("The bridge is 310 metres long.", True),
        # The subject of a short sentence, or of a line that is none, is said before it.
        ("The bridge has 12 arches.", True),
        ("The bridge is 47 years old.", True),
    ],
)
def test_a_figure_counts_where_it_is_about_the_same(statement: str, holds: bool):
    text = (
        "The bridge of Elm crosses the river on stone arches, 310 metres long. They are 12."
        "\n\nThe mayor spent 6.4 million on the renewal of the railway station, the school,\n"
        "the hospital and two theatres.\n\n"
        "Measured by: Ida Lind Age: 47 More about it: elm.example"
    )
    found = evidence("What did the bridge cost?", ("/w/elm.md", text))
    assert found.holds([1], statement) == holds


@pytest.mark.parametrize(
    ("question", "statement", "holds"),
    [
        ("Is the bar in Elm open on Sundays?", "The bar in Elm is open on Sundays.", False),
        ("Is the bar in Elm open on Sundays?", "Yes.", False),
        ("Is the bar in Elm open on Mondays?", "The bar in Elm is open on Mondays.", True),
        ("Is the bar in Elm open on Mondays?", "Yes.", True),
        ("Is the bar in Elm closed on Mondays?", "The bar in Elm is open on Mondays.", True),
        ("Is the bar in Elm open on Sundays?", "It is open from noon to 9.", True),
        ("Ist die Bar in Elm sonntags offen?", "Die Bar in Elm ist sonntags offen.", False),
        ("When is the bar in Elm open?", "The bar in Elm is open.", True),
    ],
)
def test_what_repeats_the_question_needs_all_its_words(question: str, statement: str, holds: bool):
    text = "The bar in Elm opens on Mondays and Fridays, from noon to 9. It sells oxygen."
    assert evidence(question, ("/w/elm.md", text)).holds([1], statement) == holds


@pytest.mark.parametrize(
    ("text", "statement", "holds"),
    [
        # The negation is about other words of the sentence,
        (
            "Most of the 12,000 employees at Holm will hear today that they no longer have a job.",
            "Holm has 12,000 employees.",
            True,
        ),
        # about these,
        ("The 12,000 employees are not at Holm.", "The 12,000 employees are at Holm.", False),
        # and about one of two sentences.
        (
            "The warranty lasts 24 months from the day of purchase. Batteries are excluded.",
            "The warranty lasts 24 months from the day of purchase. Batteries are excluded.",
            True,
        ),
        (
            "The warranty lasts 24 months. Batteries are excluded from the warranty.",
            "Batteries are part of the warranty.",
            False,
        ),
        ("Batterien sind in der Garantie nicht enthalten.", "Batterien sind enthalten.", False),
        ("保修不包括电池。", "保修包括电池。", False),
    ],
)
def test_a_negation_counts_where_it_stands(text: str, statement: str, holds: bool):
    assert evidence("What is said?", ("/w/a.md", text)).holds([1], statement) == holds


def test_a_sentence_that_sums_up_a_file_has_several_sources():
    lamps = "Lamps: oil, gas and arc lamps lit the harbour."
    ropes = "Ropes: hemp, sisal and coir ropes are kept in the shed."
    summary = "It lists oil, gas and arc lamps, and hemp, sisal and coir ropes."
    asked = "What does the file say?"
    one_file = evidence(asked, ("/w/list.md", lamps), ("/w/moon.md", MOON), ("/w/list.md", ropes))
    assert one_file.find_sources(summary) == [1, 3]
    assert one_file.find_sources("Arc lamps lit the harbour.") == [1]
    # Words of two files, or words that none has, make no source.
    two_files = evidence(asked, ("/w/lamps.md", lamps), ("/w/hemp.md", ropes))
    assert two_files.find_sources(summary) == []
    # In a summary of both, words of two files do.
    assert two_files.find_sources(summary, is_summary=True) == [1, 2]
    assert one_file.find_sources("It lists gas lamps, copper nails, brass bells and a coir.") == []
    assert one_file.find_sources(f"{summary[:-1]} of 1950.") == []
