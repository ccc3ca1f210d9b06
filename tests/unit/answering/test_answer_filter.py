"""Filtering a model's text: refusals, citations, cut-off answers."""

import re
from dataclasses import replace

import pytest

from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.refusal import REFUSAL
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
        "**The documents do not say this.** Bridges are often long.",
    ],
)
def test_the_refusal_of_the_prompt_becomes_one_sentence(said: str) -> None:
    shown, answer = filtered(said)
    assert "".join(shown) == answer.text == REFUSAL
    assert answer.grounding == "declined"
    assert not any(citation.cited for citation in answer.citations)


@pytest.mark.parametrize(
    "said",
    [
        "The sources do not mention this. Bridges are often long.",
        "I'm sorry, but the provided sources do not contain any information about that.",
        "The sources do not mention who built the bridge.",
        "I don't know.",
        "There is no information in the given text about the bridge.",
        "Based on the sources provided, it is not specified when that was.",
        "None of the documents mentions a bridge.",
        "There is no information about this [1].",
        "There is insufficient information to answer.",
        "I cannot determine this from the sources.",
        "Die Quellen enthalten keine Angaben dazu.",
        "Das geht aus den Dokumenten nicht hervor.",
        "Ich weiß es nicht.",
        "Les documents ne contiennent pas cette information.",
        "Je ne sais pas.",
        "Las fuentes no contienen esta información.",
        "I documenti non forniscono questa informazione.",
        "As fontes não dizem isso.",
        "De bronnen zeggen hier niets over.",
        "Źródła nie zawierają tej informacji.",
        "В источниках об этом ничего не сказано.",
        "这些文档没有提到这一点。",
        "資料にはその情報がありません。",
        "Unknown.",
    ],
)
def test_a_refusal_in_other_words_is_shown_as_it_is_and_known_as_one(said: str) -> None:
    shown, answer = filtered(said)
    assert "".join(shown) == answer.text == said.replace(" [1]", "")
    assert answer.grounding == "declined"


@pytest.mark.parametrize(
    ("said", "grounding"),
    [
        ("The documents that were signed in 1603 state the border.", "uncited"),
        ("The river Rhone springs from a glacier.", "cited"),
        ("I think that it is the sea.", "uncited"),
        ("No, the sea is not sweet but salty.", "uncited"),
        ("The Danube is not mentioned in the song of Strauss.", "uncited"),
    ],
)
def test_an_answer_is_not_mistaken_for_a_refusal(said: str, grounding: str) -> None:
    _, answer = filtered(said)
    assert answer.text.startswith(said)
    assert answer.grounding == grounding


@pytest.mark.parametrize(
    ("passage", "question", "said"),
    [
        (
            "The delivery includes binaries. The source code is not included.",
            "What about the source code?",
            "The source code is not included in the delivery.",
        ),
        (
            "Keys never expire. Deleted records cannot be restored.",
            "What can be restored?",
            "No, deleted records cannot be restored.",
        ),
        (
            "Die Lieferung umfasst Programme. Der Quelltext ist nicht enthalten.",
            "Was ist enthalten?",
            "Der Quelltext ist nicht enthalten.",
        ),
    ],
)
@pytest.mark.invariant(17)
def test_a_no_that_a_passage_says_is_an_answer(passage: str, question: str, said: str) -> None:
    answer = AnswerFilter(question, [replace(PASSAGE, text=passage), RIVER])
    shown = [answer.add(f" {word}" if n else word) for n, word in enumerate(said.split(" "))]
    assert len([piece for piece in shown if piece]) > 3
    answer.finish()
    assert (answer.text, answer.grounding) == (f"{said} [1]", "cited")


ROOM = replace(
    PASSAGE,
    text="# Room 4\n\nPhones are not allowed in room 4\nbecause of the *magnets*. It is cold.",
)


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("Are phones allowed in room 4?", True),
        ("Is it warm in room 4?", False),
        ("Is smoking allowed in room 4?", False),
        ("Are phones allowed in room 5?", False),
        ("Who allowed phones in room 4?", False),
    ],
)
def test_a_sentence_that_decides_is_quoted_instead_of_a_refusal(
    question: str, quoted: bool
) -> None:
    answer = AnswerFilter(question, [SEA, ROOM])
    shown = [answer.add(word) for word in ("The", " documents", " do", " not", " say", " this.")]
    assert "".join([*shown, answer.finish()]) == answer.text
    sentence = "Phones are not allowed in room 4 because of the magnets."
    assert answer.text == (f'The documents say: "{sentence}" [2]' if quoted else REFUSAL)
    assert answer.grounding == ("cited" if quoted else "declined")


NO = 'The documents say: "Phones are not allowed in room 4 because of the magnets." [2]'


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Phones are allowed in room 4. You may use them [2].", NO),
        ("The sea is salty [1].", NO),
        ("No. [2]", NO),
        ("No, phones are not allowed in room 4 [2].", NO),
        ("Yes. [2]", NO),
        ("Yes, phones are forbidden in room 4 [2].", NO),
        ("**Yes** [2]: phones are not allowed in room 4 because of the magnets.", NO),
        ("हाँ, phones are not.", NO),
        ("The documents do not say this.", NO),
        ("I do not know whether the text mentions this.", NO),
        ("Yes, they are not, as it is cold.", f"{NO} They are not, as it is cold."),
        ("No phones are allowed, as it is cold.", f"{NO} No phones are allowed, as it is cold."),
        ("No. It is cold there [2].", f"{NO} It is cold there [2]."),
        ("", ""),
    ],
)  # fmt: skip
def test_a_sentence_that_says_no_is_quoted_first(said: str, shown: str) -> None:
    answer = AnswerFilter("Are phones allowed in room 4?", [SEA, ROOM])
    pieces = [answer.add(piece) for piece in re.findall(r"\W*\w+|\W+", said)]
    assert "".join([*pieces, answer.finish()]) == answer.text == shown
    if said:
        assert pieces[0] == NO.removesuffix(" [2]")
        assert answer.grounding == "cited"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Are phones not allowed in room 4?", "Yes, they are not [2]."),
        ("Is the sea salty?", "Yes, the sea is salty [1]."),
    ],
)
def test_a_yes_that_no_sentence_denies_is_shown(question: str, said: str) -> None:
    answer = AnswerFilter(question, [SEA, ROOM])
    pieces = [answer.add(piece) for piece in re.findall(r"\W*\w+|\W+", said)]
    assert "".join([*pieces, answer.finish()]) == answer.text == said


@pytest.mark.parametrize("size", [1, 2, 100])
def test_what_follows_a_quote_is_apart_from_it_however_it_arrives(size: int) -> None:
    said = "No. It is cold there [2]."
    answer = AnswerFilter("Are phones allowed in room 4?", [SEA, ROOM])
    pieces = [answer.add(said[at : at + size]) for at in range(0, len(said), size)]
    assert "".join([*pieces, answer.finish()]) == answer.text == f"{NO} It is cold there [2]."


def test_a_no_is_not_quoted_first_where_another_sentence_says_otherwise() -> None:
    other = replace(SEA, text="Phones are allowed in room 4 because of the magnets.")
    answer = AnswerFilter("Are phones allowed in room 4?", [other, ROOM])
    assert answer.add("On Sundays they are.") == "On Sundays they are."


def test_an_answer_that_is_cut_off_after_a_quote_keeps_it() -> None:
    answer = AnswerFilter("Are phones allowed in room 4?", [SEA, ROOM])
    shown = answer.add("They are") + answer.cut_off()
    assert shown == answer.text == f"{NO} …"


OPEN = replace(PASSAGE, text="Phones are allowed in room 5.", path="/w/room.md")


@pytest.mark.parametrize(
    ("said", "grounding"),
    [("They may be used there.", "uncited"), ("The sources do not mention it.", "declined")],
)
def test_a_sentence_that_says_yes_is_named_beside_an_answer_without_it(
    said: str, grounding: str
) -> None:
    answer = AnswerFilter("Are phones allowed in room 5?", [SEA, OPEN])
    answer.add(said)
    answer.finish()
    assert answer.grounding == grounding
    assert answer.overlooked == (2, "Phones are allowed in room 5.")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Yes, phones are allowed in room 5.", "Yes, phones are allowed in room 5. [2]"),
        ("Yes, phones are allowed in room 5 [1].", "Yes, phones are allowed in room 5 [2]."),
        ("Yes [2].", "Yes [2]."),
        ("Yes [1].", "Yes [2]."),
        ("Yes.", "Yes."),
        ("Nein [2].", "Nein [2]."),
        ("Answer: Yes, they are allowed [2].", "Answer: Yes, they are allowed [2]."),
    ],
)
def test_a_yes_is_no_word_that_a_passage_must_have(said: str, shown: str) -> None:
    answer = AnswerFilter("Are phones allowed in room 5?", [SEA, OPEN])
    assert answer.add(said) + answer.finish() == answer.text == shown


def test_a_yes_that_is_denied_is_not_cited_because_of_the_yes() -> None:
    text = replace(PASSAGE, text="Damage by water is not covered.")
    answer = AnswerFilter("Is damage by fire covered?", [text])
    shown = answer.add("Yes, damage by fire is covered [1].") + answer.finish()
    assert (shown, answer.grounding) == ("Damage by fire is covered.", "uncited")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Yes, temporary files are not backed up [1].", "Temporary files are not backed up [1]."),
        ("**Yes** [1].\n\nThey are not [1].", "They are not [1]."),
        ("Yes.", "Yes."),
        ("Yes", "Yes"),
        ("Yesterday they were not backed up [1].", "Yesterday they were not backed up [1]."),
        ("Yes men are not backed up [1].", "Yes men are not backed up [1]."),
    ],
)
def test_a_yes_that_no_sentence_decides_is_left_out(said: str, expected: str, size: int) -> None:
    text = replace(PASSAGE, text="They are not backed up. Yesterday, yes men, temporary files.")
    answer = AnswerFilter("Are the drafts kept?", [text])
    shown = "".join(answer.add(said[at : at + size]) for at in range(0, len(said), size))
    shown += answer.finish()
    assert shown.partition(" [")[0].rstrip(".") == expected.partition(" [")[0].rstrip(".")
    assert shown == answer.text


def test_a_word_that_is_no_yes_is_kept() -> None:
    answer = AnswerFilter("Which cards does it take?", [SEA])
    assert answer.add("SIM, eSIM and MMS cards.") + answer.finish() == "SIM, eSIM and MMS cards."


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Are temporary files backed up?", "The folder of temporary files is not backed up."),
        ("Can the saw run without its guard?", "The saw must never run without a guard."),
    ],
)
def test_a_yes_before_what_a_sentence_denies_is_left_out(question: str, sentence: str) -> None:
    answer = AnswerFilter(question, [replace(PASSAGE, text=sentence)])
    shown = answer.add(f"Yes, {sentence}") + answer.finish()
    assert shown.partition(" [")[0] == sentence


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_yes_that_a_sentence_says_is_shown(size: int) -> None:
    text = replace(PASSAGE, text="Damage by water is covered.")
    answer = AnswerFilter("Is damage by water covered?", [text])
    said = "Yes, damage by water is covered [1]."
    shown = "".join(answer.add(said[at : at + size]) for at in range(0, len(said), size))
    assert shown + answer.finish() == said


@pytest.mark.parametrize(
    ("question", "said", "grounding"),
    [
        ("May I share data?", "No, data must not be passed on.", "uncited"),
        ("May I share data?", "No, the documents do not mention this.", "declined"),
        ("Which data may I share?", "The sources have no data on this.", "declined"),
    ],
)
def test_a_no_about_information_is_no_refusal(question: str, said: str, grounding: str) -> None:
    answer = AnswerFilter(question, [SEA, RIVER])
    answer.add(said)
    answer.finish()
    assert answer.grounding == grounding


def test_what_only_begins_like_a_refusal_is_shown_although_a_sentence_decides() -> None:
    answer = AnswerFilter("Are phones allowed in room 5?", [SEA, OPEN])
    shown = [answer.add(word) for word in ("The", " documents", " do", " permit", " phones.")]
    assert shown[:2] == ["", ""] and shown[3].startswith("The documents do permit")
    assert "".join([*shown, answer.finish()]).startswith("The documents do permit phones.")


def test_a_limited_search_refuses_less() -> None:
    for said in ("The documents do not say this. [1]", "The documents do not say this"):
        answer = AnswerFilter(QUESTION, [SEA, RIVER], is_limited=True)
        shown = answer.add(said) + answer.finish()
        assert shown == answer.text == "The documents found so far do not say this."
        assert answer.grounding == "declined"


def test_a_summary_needs_no_words_of_its_question() -> None:
    asked = "Summarise the Chapter on Harbours"
    answer = AnswerFilter(asked, [SEA, RIVER], is_summary=True)
    answer.add("The sea is salty. The Rhone springs from a glacier.")
    answer.finish()
    assert answer.text == "The sea is salty. [1] The Rhone springs from a glacier. [2]"


@pytest.mark.parametrize(
    ("question", "said", "expected"),
    [
        (
            "How many grams of salt does the sea hold?",
            "[1]",
            'The documents say: "It holds 35 grams of salt in a litre." [1]',
        ),
        ("How many grams of salt does the sea hold?", "[2]", ""),
        ("How many grams of salt does the sea hold?", "[1][2]", ""),
        ("Who ate all the salt of the old kitchen?", "[1]", ""),
    ],
)
def test_a_number_alone_shows_what_its_passage_says(
    question: str, said: str, expected: str
) -> None:
    shown, answer = filtered(said, question)
    assert "".join(shown) == answer.text == expected


def test_an_answer_is_shown_from_its_third_word_on() -> None:
    for said in (
        "The documents show that",
        "The documents do not",
        "According to the first",
        "It is not so",
    ):
        answer = AnswerFilter(QUESTION, [SEA, RIVER])
        assert "".join([answer.add(word) for word in re.findall(r" ?\w+", said)[:3]]).strip()


def test_text_after_a_refusal_is_shown_if_it_cites_a_passage() -> None:
    _, answer = filtered("The documents do not say this. They say the sea is salty [1].")
    assert answer.text == f"{REFUSAL} They say the sea is salty [1]."
    assert answer.grounding == "cited"


@pytest.mark.invariant(18)
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("A ferry crosses the sea seven times in summer [1].", "summer."),
        ("It holds 42 grams in a litre [1].", "litre."),
        ("It holds no salt in a litre [1].", "litre."),
        ("Captain Miller and Doctor Jones measured salt in the sea [1].", "sea."),
    ],
)
def test_a_citation_that_its_passage_does_not_support_is_dropped(said: str, shown: str) -> None:
    _, answer = filtered(said)
    assert answer.text.endswith(shown)
    assert answer.grounding == "uncited"


@pytest.mark.invariant(18)
def test_an_answer_to_another_question_is_not_cited() -> None:
    _, answer = filtered("The sea is salty [1].", "What is the capital of France?")
    assert (answer.text, answer.grounding) == ("The sea is salty.", "uncited")


def test_a_sentence_can_be_supported_by_two_passages_together() -> None:
    said = "The sea holds 35 grams of salt, and the river Rhone springs in 1603 [1][2]."
    assert filtered(said)[1].text == said
    assert filtered(said.replace("[1][2]", "[2, 1]"))[1].text == said.replace("[1][2]", "[2][1]")


@pytest.mark.invariant(18)
def test_a_figure_that_no_passage_has_marks_the_answer() -> None:
    _, answer = filtered("The sea is salty [1]. It was first measured in 1871.")
    assert answer.grounding == "partial"


def test_copied_boundaries_are_not_shown() -> None:
    said = "<<source 1 5eed5eed: sea.md>>\nThe sea is salty.\n<<end 5eed5eed>>"
    for size in (1, 3, 7, 100):
        answer = AnswerFilter(QUESTION, [SEA, RIVER])
        pieces = [answer.add(said[at : at + size]) for at in range(0, len(said), size)]
        assert "".join([*pieces, answer.finish()]) == answer.text == "The sea is salty. [1]"


def test_other_angle_brackets_are_text() -> None:
    said = "The sea is salty if a < b and c << 2 or <b>so</b> [1]."
    shown, answer = filtered(said)
    assert "".join(shown) == answer.text == said


def test_text_after_a_refusal_may_cite_a_passage() -> None:
    _, answer = filtered("The sources do not say how deep it is. They say it is salty [1].")
    assert answer.grounding == "cited"


HELD_TOKENS = 3


@pytest.mark.parametrize(
    "said",
    [
        "According to the sources, it holds 35 grams of salt in a litre [1]. That is much.",
        "[1] It holds 35 grams of salt in a litre. [2] The Rhone springs from ice.",
        "I cannot see why the sea [see below] is `salty at all` or [not a citation] in 1603.",
        "The documents do not say this of the sea, but the documents do not deny it.",
        "The papers do not say this, but a < b and <<c and `open code that never ends here",
        "**No**, the sea is\n\n- salty [1, 2]\n- wet [2].",
    ],
)
def test_text_is_held_for_at_most_three_tokens(said: str) -> None:
    answer = AnswerFilter(QUESTION, [SEA, RIVER])
    tokens = re.findall(r"\s*\w+|\s*[^\w\s]", said)
    shown = ""
    for count, token in enumerate(tokens, start=1):
        shown += answer.add(token)
        due = words("".join(tokens[: max(0, count - HELD_TOKENS)]))
        assert words(shown)[: len(due)] == due
    assert shown + answer.finish() == answer.text


def words(text: str) -> list[str]:
    """Return the words without the citations, which are checked before they are shown."""
    return re.findall(r"[^\W\d]+", re.sub(r"\[(?:source )?[\d, ]*\]?", "", text))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_boundary_lines_of_the_prompt_are_removed(size: int) -> None:
    said = "<<source 1 f00d: sea.md>>\nIt is salty [1].\n<<end f00d>>\nSee <<end of file>> 1 << 2."
    answer = AnswerFilter(QUESTION, [SEA, RIVER])
    shown = "".join(answer.add(said[at : at + size]) for at in range(0, len(said), size))
    shown += answer.finish()
    assert shown == answer.text == "It is salty [1].\nSee <<end of file>> 1 << 2."


def test_a_boundary_line_that_is_cut_off_is_removed() -> None:
    answer = AnswerFilter(QUESTION, [SEA, RIVER])
    assert answer.add("It is salty [1]. <<source 2 f00d: riv") + answer.finish() == answer.text
    assert answer.text == "It is salty [1]."


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
    shown, answer = filtered("[2] It holds 35 grams in a litre. [1] The Rhone springs in 1603.")
    assert answer.text == "It holds 35 grams in a litre. [1] The Rhone springs in 1603. [2]"
    assert "".join(shown) == answer.text
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


def test_each_sentence_of_an_answer_without_numbers_gets_its_source() -> None:
    said = "The sea holds 35 grams of salt. Bridges span valleys. The Rhone springs from a glacier."
    _, answer = filtered(said)
    assert answer.text == (
        "The sea holds 35 grams of salt. [1] Bridges span valleys. "
        "The Rhone springs from a glacier. [2]"
    )
    assert answer.grounding == "cited"


def test_what_follows_a_refusal_in_other_words_gets_no_source() -> None:
    _, answer = filtered(
        "The sources do not mention this. The sea holds 35 grams of salt. It is so."
    )
    assert answer.grounding == "declined"
    assert answer.cited == set()
