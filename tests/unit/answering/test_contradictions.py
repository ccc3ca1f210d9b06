"""Passages that say the opposite of each other."""

from dataclasses import replace

import pytest

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.contradictions import find_contradiction
from tests.unit.answering.test_prompts import PASSAGE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The mast of the Arden is 31 metres high.", "The mast of the Arden is 28 metres high."),
        ("The gate may be opened at night.", "The gate may not be opened at night."),
        ("The mill was built by Karla Ruiz.", "The mill was built by Edgar Holm."),
        ("Guests are allowed in the cellar.", "Guests are forbidden in the cellar."),
        ("The yard employs 70 people.", "The yard has 85 employees."),
        ("The pond at Ostby is 4 metres deep.", "The depth of the pond at Ostby is 6 metres."),
        ("Der Mast in Ulm ist 31 Meter hoch.", "Die Höhe vom Mast in Ulm ist 28 Meter."),
        ("Der Laden wird um 9 Uhr geöffnet.", "Die Läden werden um 10 Uhr geöffnet."),
        ("La torre tiene 31 metros de alto.", "La altura de la torre es de 28 metros."),
        ("Le pont est long de 40 mètres.", "La longueur du pont est de 60 mètres."),
    ],
)
def test_sentences_that_differ_in_one_thing_contradict_each_other(one: str, other: str) -> None:
    passages = [replace(PASSAGE, text=f"Something else. {one}"), replace(PASSAGE, text=other)]
    assert find_contradiction(one, passages) == (1, 2)
    assert find_contradiction("Wheat grows in the valley.", passages) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The fair had 900 guests in 2018.", "The fair had 700 guests in 2019."),
        ("The mast of the Arden is 31 metres high.", "The mast of the Brede is 28 metres high."),
        ("The shop opens at nine on weekdays.", "The shop opens at ten on Sundays."),
        ("The mill was built by Karla Ruiz.", "The mill was sold by Edgar Holm."),
        ("The yearly pass costs 60 euros.", "The monthly pass costs 8 euros."),
        ("The mast is 31 metres high.", "The mast is 31 metres high."),
        ("Der Mast in Ulm ist 31 Meter hoch.", "Der Mast in Bonn ist 28 Meter hoch."),
        ("Der Vorstand wählt den Vorsitz im Mai.", "Der Beirat wählt den Sprecher im Mai."),
        ("Im Winter öffnet sie um 9 Uhr.", "Im Sommer öffnet sie um 8 Uhr."),
        ("La tour fut bâtie par Jean Morel.", "La tour a été vendue par Paul Rey."),
        ("The pond at Ostby is 4 metres deep.", "The length of the pond at Ostby is 60 metres."),
    ],
)
def test_sentences_about_different_things_do_not(one: str, other: str) -> None:
    passages = [replace(PASSAGE, text=one), replace(PASSAGE, text=other)]
    assert find_contradiction(one, passages) is None


def test_an_answer_from_passages_that_disagree_is_marked() -> None:
    passages = [
        replace(PASSAGE, text="The mast is 31 metres high."),
        replace(PASSAGE, text="The mast is 28 metres high."),
    ]
    answer = AnswerFilter("How high is the mast?", passages)
    answer.add("The mast is 31 metres high [1].")
    answer.finish()
    assert (answer.grounding, answer.disagreeing) == ("disputed", (1, 2))
