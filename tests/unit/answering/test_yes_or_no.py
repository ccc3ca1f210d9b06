"""Which sentences decide a question for a yes or no, and which of them say no to it."""

from dataclasses import replace

import pytest

from allma_server.answering.yes_or_no import denies, find_deciding_sentence
from tests.unit.answering.test_prompts import PASSAGE


def deciding(question: str, text: str, title: str = "notes") -> str | None:
    """Return the sentence of a text that decides a question; None if none does."""
    passage = replace(PASSAGE, text=text, path=f"/w/{title}.md", heading=[])
    found = find_deciding_sentence(question, [passage])
    return found[1] if found else None


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Is damage by fire covered?", "Damage by water is not covered."),
        ("Is it possible to return opened goods?", "It is not possible to return used goods."),
        ("Can deleted files be restored?", "Deleted users cannot be restored."),
        ("Does the free plan include webhooks?", "The free plan does not include backups."),
        ("Is the red wine from Spain sweet?", "The red wine from Spain is expensive."),
        ("Can I park my car in the yard?", "Cars may not be washed in the yard."),
        ("Is smoking harmful in the hotel room?", "Smoking is forbidden in the hotel room."),
        ("Is breakfast included in the price?", "Breakfast is not required in the price."),
        ("Sind Hunde im Hotel erlaubt?", "Katzen sind im Hotel nicht erlaubt. Hunde kosten."),
        ("Ist die Garantie übertragbar?", "Die Lizenz ist nicht übertragbar. Die Garantie gilt."),
        ("Peut-on fumer dans la chambre ?", "On ne peut pas cuisiner dans la chambre."),
        ("¿Hay piscina en el hotel?", "No hay sauna en el hotel."),
        # Figures, units and times are words too.
        ("Is entry free for children over 12?", "Entry is not free for children under 12."),
        ("Is the distance 10 km?", "The distance is 10 miles."),
        ("Are refunds paid within 14 days?", "Refunds are not paid within 14 weeks."),
        ("Was smoking allowed before 2010?", "Smoking was not allowed after 2010."),
        # So are names that look like words which say little, or whose parts are the same.
        ("Is vitamin A soluble in water?", "Vitamin C is soluble in water."),
        ("Is the IT department open?", "The legal department is open."),
        ("Will the road be closed in May?", "The road will not be closed in June."),
        ("Is the file test.py checked?", "The file main.py is not checked for a test."),
    ],
)
def test_a_sentence_about_something_else_does_not_decide(question: str, text: str) -> None:
    assert deciding(question, text) is None


@pytest.mark.parametrize(
    ("question", "text", "title"),
    [
        ("Are dogs allowed in the house?", "Cats are not allowed in the house.", "dogs"),
        ("Does the museum accept cards?", "The café does not accept cards.", "museum"),
        ("Is Java 8 supported on Linux?", "Java 11 is not supported on Linux.", "java-8"),
        ("Is Java 11 supported in release 2.4?", "Java 11 needs release 2.5.", "release-2.4"),
    ],
)
def test_a_title_does_not_replace_what_the_sentence_is_about(
    question: str, text: str, title: str
) -> None:
    assert deciding(question, text, title) is None


@pytest.mark.parametrize(
    "text",
    [
        "Are dogs allowed in the garden?",
        "How dogs are allowed in the garden",
        "If dogs were allowed in the garden, it would be closed.",
        "Ask whether dogs are allowed in the garden.",
        "It closes when dogs are allowed in the garden.",
        "| Dogs allowed in the garden | no | yes |",
        "dogs_allowed = garden.is_open and not dogs_forbidden",
        "Dogs are not allowed in the garden. Dogs are allowed in the garden.",
    ],
)
def test_what_asserts_nothing_does_not_decide(text: str) -> None:
    assert deciding("Are dogs allowed in the garden?", text) is None


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Are dogs allowed?", "Dogs are not allowed."),
        ("Are dogs allowed?", "Dogs are forbidden."),
        ("Are dogs permitted?", "Dogs are not allowed."),
        ("Are dogs allowed in the garden?", "No, dogs are not allowed in the garden, it is small."),
        ("Are batteries covered by the warranty?", "Batteries are excluded from the warranty."),
        ("Can I wear headphones on the course?", "Headphones are prohibited on the course."),
        ("Can I pass it on when I sell the device?", "It cannot be passed on if a device is sold."),
        ("Are backups kept for longer than 90 days?", "Backups older than 90 days are not kept."),
        ("Do I need a ticket for a tram I use?", "No ticket is needed if the tram was used."),
        ("May I use my phone in room 4?", "Phones are not allowed in room 4 because of a magnet."),
        ("Has the bug been fixed?", "The bug was not fixed."),
        ("Does the café accept cards?", "The café doesn't accept cards."),
        ("Sind Hunde im Hotel erlaubt?", "Hunde sind im Hotel nicht erlaubt."),
        ("Sind Hunde im Hotel erlaubt?", "Im Hotel sind Hunde verboten."),
        ("Y a-t-il une piscine dans l'hôtel ?", "Il n'y a pas de piscine dans l'hôtel."),
        ("¿Puedo fumar en la habitación?", "No se puede fumar en la habitación."),
    ],
)
def test_a_no_in_other_words_decides(question: str, text: str) -> None:
    assert deciding(question, text) == text
    assert denies(text, question)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Are dogs allowed?", "Dogs are not allowed without a leash."),
        ("Are dogs allowed?", "Dogs are not allowed, unless they are on a leash."),
        ("Are dogs allowed?", "Dogs are not only allowed but welcome."),
        ("Are dogs allowed?", "Dogs are allowed, cats are not."),
        ("Are dogs allowed?", "Dogs are not forbidden."),
        ("Are visitors allowed?", "Visitors were not allowed."),
        ("Are 3 dogs allowed?", "No more than 3 dogs are allowed."),
        ("Is entry to the garden free?", "There is no charge for entry to the garden."),
        ("Can deleted records be restored?", "Deleted records cannot be restored after 30 days."),
        ("Can I delete an account?", "You cannot delete an account that is not yours."),
        ("Sind Hunde im Hotel erlaubt?", "Hunde sind im Hotel ohne Leine nicht erlaubt."),
    ],
)
def test_a_no_to_less_or_under_a_condition_decides_but_does_not_deny(
    question: str, text: str
) -> None:
    assert deciding(question, text) == text
    assert not denies(text, question)


def test_a_sentence_is_quoted_with_the_names_in_it_unchanged() -> None:
    text = "`parse_args` does *not* return a list."
    assert deciding("Does parse_args return a list?", text) == "parse_args does not return a list."
