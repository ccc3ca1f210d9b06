"""Where sentences end."""

import pytest

from allma_server.answering.sentences import find_ends, last_sentence, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is. It was!\nSo", ["It is.", "It was!", "So"]),
        ('He said "no." She left.', ['He said "no.', "She left."]),
        ("Dr. J. R. Lind left. He came.", ["Dr. J. R. Lind left.", "He came."]),
        ("Siehe z.B. Abb. 3. Dann", ["Siehe z.B. Abb. 3.", "Dann"]),
        ("Das gilt ab dem 1. März. Dann", ["Das gilt ab dem 1. März.", "Dann"]),
        ("The firm Lind Inc.\nThe end", ["The firm Lind Inc.", "The end"]),
        ("Salz, Öl usw. Der Rest", ["Salz, Öl usw.", "Der Rest"]),
        ("The tax. Prof. Lind", ["The tax.", "Prof. Lind"]),
        ("海は青い。空も青い。", ["海は青い。", "空も青い。"]),
        ("... !\n\n", []),
        ("", []),
    ],
)
def test_a_text_is_split_into_its_sentences_and_lines(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences
    assert last_sentence(text) == (sentences[-1] if sentences else "")


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("It rains. Rain", ["It rains."]),
        ("It rains. rain", []),
        ("It rains.", []),
        ("See Fig. A or Gen. Lind, i.e. Ann. Rain", ["See Fig. A or Gen. Lind, i.e. Ann."]),
        ("In B12. Rain is 3.5. It is 4 m. So", ["In B12.", " Rain is 3.5.", " It is 4 m."]),
        ("1. Rain\n2. Ice\n", ["1. Rain"]),
        ("Am 2. Mai regnet es. Ja", ["Am 2. Mai regnet es."]),
    ],
)  # fmt: skip
def test_a_sentence_has_surely_ended_once_the_next_begins(text: str, ended: list[str]) -> None:
    starts = [0, *find_ends(text, 0)]
    assert [text[a:b] for a, b in zip(starts, starts[1:], strict=False)] == ended
