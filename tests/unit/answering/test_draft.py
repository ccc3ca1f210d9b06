"""What of a model's words is let through, and what is said of it."""

from dataclasses import replace

import pytest

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.refusal import NOT_SAID, declines
from tests.unit.answering.test_prompts import PASSAGE

SEA = replace(PASSAGE, text="The sea is salty. It holds 35 grams of salt in a litre.")
RIVER = replace(PASSAGE, path="/w/river.md", text="The river Rhone springs from a glacier in 1603.")
QUESTION = "What is known of the sea and the Rhone?"


def written(text: str, question: str = QUESTION) -> tuple[list[str], AnswerFilter]:
    """What is shown piece by piece, of a text that comes word by word."""
    draft = AnswerFilter(question, [SEA, RIVER])
    shown = [draft.add(f" {word}" if n else word) for n, word in enumerate(text.split(" "))]
    return [*filter(None, [*shown, draft.finish()])], draft


def test_an_answer_is_shown_as_it_comes() -> None:
    shown, draft = written("It holds 35 grams of salt [1]. The Rhone springs from ice [2].")
    assert len(shown) > 5
    assert "".join(shown) == draft.text
    assert draft.grounding == "cited"
    assert [c.cited for c in draft.citations] == [True, True]


@pytest.mark.parametrize(
    "said",
    [
        "The documents do not say this.",
        "[1] The documents do not say this.",
        "The documents do not say this [2]",
        "I'm sorry, but the provided sources do not contain any information about that.",
        "The sources do not mention who built the bridge. However, bridges are often long.",
        "I don't know.",
        "There is no information in the given text about the bridge.",
        "Based on the sources provided, it is not specified when that was.",
        "None of the documents mentions a bridge.",
        "Unknown.",
    ],
)
def test_a_refusal_is_one_sentence_whatever_its_words(said: str) -> None:
    shown, draft = written(said)
    assert "".join(shown) == draft.text == NOT_SAID
    assert draft.grounding == "declined"
    assert not any(citation.cited for citation in draft.citations)


@pytest.mark.parametrize(
    "said",
    [
        "The documents that were signed in 1603 state the border.",
        "The sources of the Rhone lie in a glacier.",
        "Sources say that it is not known for its fish, but for salt.",
        "No, the sea is salty.",
        "I think that it is the sea.",
    ],
)
def test_an_answer_is_not_taken_for_a_refusal(said: str) -> None:
    assert not declines(said)
    assert written(said)[1].text.startswith(said)


def test_what_follows_a_refusal_is_shown_if_it_names_its_source() -> None:
    _, draft = written("The sources do not say how deep it is. They say it is salty [1].")
    assert draft.text == f"{NOT_SAID} They say it is salty [1]."
    assert draft.grounding == "cited"


def test_an_answer_without_numbers_gets_that_of_the_passage_that_says_it() -> None:
    shown, draft = written("It holds 35 grams in a litre.")
    assert "".join(shown) == draft.text == "It holds 35 grams in a litre. [1]"
    assert draft.grounding == "cited"


@pytest.mark.invariant(18)
def test_an_answer_that_no_passage_says_is_marked() -> None:
    _, draft = written("Whales sing loudly.")
    assert (draft.text, draft.grounding) == ("Whales sing loudly.", "uncited")


@pytest.mark.invariant(18)
def test_a_number_of_another_passage_gives_way_to_the_right_one() -> None:
    assert (
        written("It holds 35 grams in a litre [2].")[1].text == "It holds 35 grams in a litre [1]."
    )


def test_a_figure_that_no_passage_holds_is_not_cited() -> None:
    _, draft = written("It was measured in 1871 [1].")
    assert (draft.text, draft.grounding) == ("It was measured in 1871.", "uncited")


def test_a_number_before_its_statement_is_checked_as_well() -> None:
    assert written("[2] It holds 35 grams in a litre.")[1].text.startswith("[1] It holds")
    _, draft = written("[1] Richard Stallman")
    assert (draft.text, draft.grounding) == ("Richard Stallman", "uncited")


@pytest.mark.parametrize("said", ["", " \n", "[1] [2]", "[7]"])
def test_an_answer_that_says_nothing_is_no_refusal(said: str) -> None:
    shown, draft = written(said)
    assert "".join(shown) == draft.text == ""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("It holds 35 grams in a li", "It holds 35 grams in a li …"),
        ("The documents do not", "The documents do not …"),
        ("I don't know who", "I don't know who …"),
        ("It is salty [1", "It is salty [1 …"),
    ],
)
def test_an_answer_that_is_cut_off_is_marked_and_neither_attributed_nor_a_refusal(
    said: str, shown: str
) -> None:
    draft = AnswerFilter(QUESTION, [SEA, RIVER])
    pieces = [draft.add(piece) for piece in said] + [draft.cut_off()]
    assert "".join(pieces) == draft.text == shown
    assert draft.grounding == "cut_off"


def test_what_is_cut_off_before_its_first_word_is_nothing() -> None:
    draft = AnswerFilter(QUESTION, [SEA, RIVER])
    assert (draft.cut_off(), draft.text) == ("", "")


def test_a_plain_answer_that_is_cut_off_is_marked_as_well() -> None:
    draft = AnswerFilter("Hello?", [])
    assert draft.add("Well,") + draft.cut_off() == draft.text == "Well, …"
    assert draft.grounding == "cut_off"


def test_a_paraphrase_keeps_its_number() -> None:
    assert written("Sea water tastes of mineral, salty even [1].")[1].text.endswith("[1].")


def test_an_answer_in_another_script_keeps_its_number() -> None:
    assert written("Море солёное [1].")[1].text == "Море солёное [1]."


def test_without_passages_nothing_is_changed() -> None:
    draft = AnswerFilter("Hello?", [])
    assert draft.add("See [1]. ") + draft.add("I don't know.") == "See [1]. I don't know."
    assert (draft.finish(), draft.grounding, draft.citations) == ("", "none", [])
