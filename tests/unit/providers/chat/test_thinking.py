"""Removing thinking and special tokens from a streamed text."""

import pytest

from allma_server.providers.chat.thinking import ThinkingFilter


def shown(text: str, size: int, *, starts_thinking: bool = False) -> tuple[str, ThinkingFilter]:
    visible = ThinkingFilter(starts_thinking=starts_thinking)
    pieces = [visible.add(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(pieces) + visible.finish(), visible


HIDDEN = {
    "<think>I wonder.</think>Seven [1].": "Seven [1].",
    "\n<think>\nI wonder.\n</think>\n\nSeven [1].": "Seven [1].",
    "<think></think>Seven.": "Seven.",
    "<THINK>I</Think>Seven.": "Seven.",
    "<thinking>a < b</thinking> Seven.": "Seven.",
    "<reasoning>so</reasoning>\nSeven.": "Seven.",
    "[THINK]so[/THINK]Seven.": "Seven.",
    "◁think▷so◁/think▷Seven.": "Seven.",
    "<think>a</think>Seven.\n<think>\nb\n</think>\nEight.": "Seven.\n\nEight.",
    "<think>never ends": "",
    "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>"
    "Seven [1].<|return|>": "Seven [1].",
    "<|channel|>analysis<|message|>so": "",
    "<|channel|>final<|message|>Seven.": "Seven.",
    "<|channel>thought\nso<channel|>Seven.": "Seven.",
    "Seven.<|im_end|>": "Seven.",
    "Seven.<|im_end|>\n<|im_start|>user\nAnd eight?": "Seven.",
    "<|im_start|>assistant\nSeven.<|im_end|>": "Seven.",
    "<|start_header_id|>assistant<|end_header_id|>\n\nSeven.<|eot_id|>": "Seven.",
    "<s> Seven.</s>": "Seven.",
    "Seven.<end_of_turn>\n": "Seven.",
    "Seven.<｜end▁of▁sentence｜>": "Seven.",
    "Seven<|reserved_special_token_7|>.": "Seven.",
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("text", "answer"), HIDDEN.items())
def test_thinking_and_tokens_are_removed_however_the_text_is_split(
    text: str, answer: str, size: int
) -> None:
    given, visible = shown(text, size)
    assert given == visible.text == answer
    assert not visible.is_late


KEPT = [
    "The mark is `<think>`, and it ends with `</think>`.",
    "Write:\n```\n<think>\nso\n</think>\n<|im_end|>\n```\nThat is all.",
    "```\n<think>\n```",
    "Between <think> and </think> it thinks.",
    "a <b> and c < d and [1] and [thing] and 1 <| 2 |> 3",
    "<table><tr><td>7</td></tr></table>",
    "Struck <s>out</s",
    "<thinkers> are many",
    "Seven <",
    "Seven [",
]


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("text", KEPT)
def test_text_about_thinking_tokens_is_kept(text: str, size: int) -> None:
    given, visible = shown(text, size)
    assert given == visible.text == text


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_thinking_with_only_an_end_token_is_removed(size: int) -> None:
    given, visible = shown("I wonder. Gates, gates.\n</think>\n\nSeven [1].", size)
    assert visible.text == "Seven [1]."
    assert visible.is_late or given == visible.text
    assert visible.thought_length


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_unmarked_thinking_of_a_known_model_is_withheld(size: int) -> None:
    given, visible = shown("I wonder.\n</think>\n\nSeven [1].", size, starts_thinking=True)
    assert given == visible.text == "Seven [1]."
    assert not visible.is_late
    assert shown("Seven [1].", size, starts_thinking=True)[0] == "Seven [1]."


def test_control_characters_and_direction_marks_are_removed() -> None:
    joined = "मा\u200dला 👩\u200d🚀"
    text = f"a\x1b]8;;http://b\x1b\\c\x9b1m\u202egpj\u200b.\x00\r\n\t{joined}"
    given, visible = shown(text, 3)
    assert given == visible.text == f"a]8;;http://b\\c1mgpj.\n\t{joined}"


def test_text_that_is_not_a_token_is_shown_at_once() -> None:
    visible = ThinkingFilter()
    assert visible.add("Seven") == "Seven"
    assert visible.add(" gates <b") == " gates <b"
    assert visible.add(" [1") == " [1"


def test_many_tokens_are_processed_quickly() -> None:
    given, _ = shown("`" + "x" * 20_000 + "<|a|>" * 20_000, 64)
    assert len(given) == 120_001
