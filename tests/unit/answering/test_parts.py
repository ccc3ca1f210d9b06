"""Taking a question of several parts apart."""

import pytest

from allma_server.answering.parts import MAX_PARTS, parse_parts, split_by_form


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Who built it and in which year?", ["Who built it", "in which year?"]),
        ("Who built it, when and how high is it?", ["Who built it when", "how high is it?"]),
        ("Who built it and when was it painted?", ["Who built it", "when was it painted?"]),
        ("1. Who built it?\n2. When was it painted?", ["Who built it?", "When was it painted?"]),
        ("Wer baute ihn und wann wurde er rot?", ["Wer baute ihn", "wann wurde er rot?"]),
        ("Who built it? Answer briefly.", ["Who built it? Answer briefly."]),
        ("What are salt and pepper made of?", ["What are salt and pepper made of?"]),
        ("Which gate, if any, was built of oak?", ["Which gate, if any, was built of oak?"]),
    ],
)  # fmt: skip
def test_parts_are_shown_by_the_form_of_a_question(question: str, parts: list[str]) -> None:
    assert split_by_form(question) == parts


def test_the_number_of_parts_is_limited() -> None:
    assert len(split_by_form(" ".join(f"Who built gate {n}?" for n in range(20)))) == MAX_PARTS


COMPARES = "Compare the gates of the lighthouse and the height of the harbour wall"


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        (
            "So:\n1. How many gates has the lighthouse?\n2) What is the height of the wall?\nOK",
            ["How many gates has the lighthouse?", "What is the height of the wall?"],
        ),
        ("The lighthouse has seven gates.", [COMPARES]),
        ("What is the capital of France?\nWho was Napoleon?", [COMPARES]),
        ("How many gates?", [COMPARES]),
        ("", [COMPARES]),
        ("\n".join(["gates of the lighthouse"] * 40), [COMPARES]),
    ],
)
def test_a_useless_reply_leaves_the_question_whole(reply: str, parts: list[str]) -> None:
    assert parse_parts(reply, COMPARES) == parts
