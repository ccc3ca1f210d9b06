"""Filtering a model's text: refusals, citations, cut-off answers."""

from dataclasses import replace

import pytest

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.refusal import REFUSAL, is_refusal
from tests.unit.answering.test_prompts import PASSAGE

SEA = replace(PASSAGE, text="The sea is salty. It holds 35 grams of salt in a litre.")
RIVER = replace(PASSAGE, path="/w/river.md", text="The river Rhone springs from a glacier in 1603.")
QUESTION = "What is known of the sea and the Rhone?"


def filtered(text: str, question: str = QUESTION) -> tuple[list[str], AnswerFilter]:
    """Return the pieces shown of a text that arrives word by word, and the filter."""
    answer = AnswerFilter(question, [SEA, RIVER])
    shown = [answer.add(f" {word}" if n else word) for n, word in enumerate(text.split(" "))]
    return [*filter(None, [*shown, answer.finish()])], answer


def test_an_answer_is_shown_while_it_is_generated() -> None:
    shown, answer = filtered("It holds 35 grams of salt [1]. The Rhone springs from ice [2].")
    assert len(shown) > 5
    assert "".join(shown) == answer.text
    assert answer.grounding == "cited"
    assert [c.cited for c in answer.citations] == [True, True]


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
def test_every_refusal_becomes_the_same_sentence(said: str) -> None:
    shown, answer = filtered(said)
    assert "".join(shown) == answer.text == REFUSAL
    assert answer.grounding == "declined"
    assert not any(citation.cited for citation in answer.citations)


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
def test_an_answer_is_not_mistaken_for_a_refusal(said: str) -> None:
    assert not is_refusal(said)
    assert filtered(said)[1].text.startswith(said)


def test_text_after_a_refusal_is_shown_if_it_cites_a_passage() -> None:
    _, answer = filtered("The sources do not say how deep it is. They say it is salty [1].")
    assert answer.text == f"{REFUSAL} They say it is salty [1]."
    assert answer.grounding == "cited"


def test_an_answer_without_citations_gets_the_supporting_passage() -> None:
    shown, answer = filtered("It holds 35 grams in a litre.")
    assert "".join(shown) == answer.text == "It holds 35 grams in a litre. [1]"
    assert answer.grounding == "cited"


@pytest.mark.invariant(18)
def test_an_unsupported_answer_is_marked_as_uncited() -> None:
    _, answer = filtered("Whales sing loudly.")
    assert (answer.text, answer.grounding) == ("Whales sing loudly.", "uncited")


@pytest.mark.invariant(18)
def test_a_wrong_number_is_corrected() -> None:
    assert (
        filtered("It holds 35 grams in a litre [2].")[1].text == "It holds 35 grams in a litre [1]."
    )


def test_a_figure_that_no_passage_contains_is_not_cited() -> None:
    _, answer = filtered("It was measured in 1871 [1].")
    assert (answer.text, answer.grounding) == ("It was measured in 1871.", "uncited")


def test_a_citation_before_its_statement_is_checked() -> None:
    assert filtered("[2] It holds 35 grams in a litre.")[1].text.startswith("[1] It holds")
    _, answer = filtered("[1] Richard Stallman")
    assert (answer.text, answer.grounding) == ("Richard Stallman", "uncited")


@pytest.mark.parametrize("said", ["", " \n", "[1] [2]", "[7]"])
def test_an_empty_answer_is_not_a_refusal(said: str) -> None:
    shown, answer = filtered(said)
    assert "".join(shown) == answer.text == ""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("It holds 35 grams in a li", "It holds 35 grams in a li …"),
        ("The documents do not", "The documents do not …"),
        ("I don't know who", "I don't know who …"),
        ("It is salty [1", "It is salty [1 …"),
    ],
)
def test_a_cut_off_answer_is_marked_without_a_source_or_refusal(said: str, shown: str) -> None:
    answer = AnswerFilter(QUESTION, [SEA, RIVER])
    pieces = [answer.add(piece) for piece in said] + [answer.cut_off()]
    assert "".join(pieces) == answer.text == shown
    assert answer.grounding == "cut_off"


def test_an_answer_cut_off_before_the_first_token_is_empty() -> None:
    answer = AnswerFilter(QUESTION, [SEA, RIVER])
    assert (answer.cut_off(), answer.text) == ("", "")


def test_a_cut_off_answer_without_passages_is_marked() -> None:
    answer = AnswerFilter("Hello?", [])
    assert answer.add("Well,") + answer.cut_off() == answer.text == "Well, …"
    assert answer.grounding == "cut_off"


def test_a_paraphrase_keeps_its_number() -> None:
    assert filtered("Sea water tastes of mineral, salty even [1].")[1].text.endswith("[1].")


def test_an_answer_in_another_script_keeps_its_number() -> None:
    assert filtered("Море солёное [1].")[1].text == "Море солёное [1]."


def test_without_passages_the_text_is_unchanged() -> None:
    answer = AnswerFilter("Hello?", [])
    assert answer.add("See [1]. ") + answer.add("I don't know.") == "See [1]. I don't know."
    assert (answer.finish(), answer.grounding, answer.citations) == ("", "none", [])
