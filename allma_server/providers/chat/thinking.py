"""Takes out of a model's text what is not meant for its reader: thinking, and template marks.

Models think between `<think>` and `</think>` and the like, at the head of an answer or on a line
of its own; some have the first of the two in their prompt and say only the second. Marks of chat
templates (`<|im_end|>`) are part of no answer. In code, both are text like any other.
"""

import re
from typing import Literal

_PAIRS = {
    f"<{name}>": f"</{name}>"
    for name in (
        "think", "thinking", "thought", "thoughts", "reasoning", "reason", "reflection",
        "scratchpad", "seed:think",
    )
} | {
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
    "<|channel>": "<channel|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|end_thinking|>",
}  # fmt: skip
_OPENING = {closing: opening for opening, closing in _PAIRS.items()}
_ENDS = {
    "<end_of_turn>", "</s>", "<eos>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>",
    "<|end_of_text|>", "<|endoftext|>", "<|end_of_turn|>", "<|return|>", "<｜end▁of▁sentence｜>",
    "<|end▁of▁sentence|>",
}  # fmt: skip
_TURNS = {
    "<|im_start|>", "<|start|>", "<|start_header_id|>", "<start_of_turn>", "<|user|>",
    "<|assistant|>", "<|system|>",
}  # fmt: skip
_CHANNEL = "<|channel|>"
_CHANNEL_ENDS = ("<|end|>", "<|start|>", "<|channel|>", "<|return|>", "<|call|>")
_WORDS = sorted({*_PAIRS, *_OPENING, *_ENDS, *_TURNS, "<s>"}, key=len, reverse=True)
_MARK = re.compile("|".join(map(re.escape, _WORDS)) + r"|<[|｜][^\s<>|｜]{1,40}[|｜]>", re.I)
_MAY_BEGIN = re.compile(r"<[|｜][^\s<>|｜]{0,40}[|｜]?")
_FIRST = re.compile(r"[<\[◁]")
_ROLE = re.compile(r"\s*(?:assistant|model|user|system)?(?:<\|end_header_id\|>)?")
_LONGEST_ROLE = 40

# Control characters, which command a terminal, and signs without a form, which turn words around
# or stand for nothing; but the joiners of scripts and emoji.
_NOT_SHOWN = dict.fromkeys(
    [
        *({*range(0x1C), *range(0x7F, 0xA0)} - {*range(0x09, 0x0D), 0x85}),
        *(0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)


class VisibleText:
    """A model's text as it comes: `add` and `finish` give what of it is for the reader.

    With `held`, the text begins with thinking whose first mark is not said: nothing is given
    before the mark that ends it, or before `release`.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.text = ""
        """All that was given, but for thinking that showed as such too late."""
        self.late = False
        """Whether there was such thinking, so that `text` is not what was given piece by piece."""
        self.thought = 0
        """Characters of thinking."""
        self._held = held
        self._waiting = ""
        self._closing: tuple[str, ...] = ()
        self._state: Literal["text", "hidden", "channel", "role", "over"] = "text"
        self._opened: set[str] = set()
        self._out: list[str] = []

    def add(self, piece: str) -> str:
        """Takes the next piece; what may be shown by it."""
        return self._taken(piece.translate(_NOT_SHOWN), final=False)

    def finish(self) -> str:
        """The rest, once the model has ended."""
        return self._taken("", final=True) + self.release()

    def release(self) -> str:
        """What was held: it was no thinking after all."""
        held, self._held = self.text if self._held else "", False
        return held

    def _taken(self, piece: str, *, final: bool) -> str:
        self._waiting += piece
        steps = {
            "text": self._read, "hidden": self._hide, "channel": self._channel,
            "role": self._skip_role, "over": self._drop,
        }  # fmt: skip
        while self._waiting and steps[self._state](final):
            pass
        given, self._out = "".join(self._out), []
        return "" if self._held else given

    def _read(self, final: bool) -> bool:
        """Gives text up to the next mark; whether there may be more."""
        first = _FIRST.search(self._waiting)
        self._give(first.start() if first else len(self._waiting))
        if first is None:
            return False
        mark = _MARK.match(self._waiting)
        if mark is None:
            if not final and _may_become_mark(self._waiting):
                return False
            self._give(1)
            return True
        self._meet(mark[0])
        return True

    def _meet(self, mark: str) -> None:
        """Does what a mark at the head of the waiting text asks for."""
        word, begun = mark.lower(), bool(self.text.strip())
        # An answer may well end with `</s>` in a sentence about it; `<s>` strikes text out in HTML.
        if self._in_code() or (word == "<s>" and begun):
            self._give(len(mark))
        elif word in _PAIRS:
            at_line = not begun or self.text.rstrip(" \t").endswith("\n")
            if at_line:
                self._skip(mark, "hidden", (_PAIRS[word],))
            else:
                self._opened.add(word)
                self._give(len(mark))
        elif word in _OPENING:
            self._close(mark, word, begun)
        elif word == _CHANNEL:
            self._skip(mark, "channel")
        elif begun and (word in _ENDS or word in _TURNS):
            self._skip(mark, "over")
        else:
            self._skip(mark, "role" if word in _TURNS else "text")

    def _close(self, mark: str, word: str, begun: bool) -> None:
        if _OPENING[word] in self._opened:
            self._give(len(mark))
            return
        self._skip(mark, "text")
        if begun and not self.thought:
            self.thought, self.text, self._out = len(self.text), "", []
            self.late = not self._held
        self._held = False

    def _hide(self, final: bool) -> bool:
        lowered = self._waiting.lower()
        found = [(at, c) for c in self._closing if (at := lowered.find(c)) >= 0]
        if not found:
            kept = 0 if final else max(map(len, self._closing)) - 1
            hidden = max(0, len(self._waiting) - kept)
            self.thought += hidden
            self._waiting = self._waiting[hidden:]
            return False
        at, closing = min(found)
        self.thought += at
        # What begins the next part of a reply has yet to be read.
        keeps = closing in (_CHANNEL, "<|start|>")
        self._waiting = self._waiting[at if keeps else at + len(closing) :]
        self._state, self._held = "text", False
        return True

    def _channel(self, final: bool) -> bool:
        """The name of a channel decides: only `final` is for the reader."""
        name, found, _ = self._waiting.partition("<|message|>")
        if not found and len(name) < _LONGEST_ROLE and not final:
            return False
        self._waiting = self._waiting[len(name) + len(found) :] if found else ""
        shown = name.strip().lower().startswith("final")
        self._state, self._closing = ("text", ()) if shown else ("hidden", _CHANNEL_ENDS)
        return True

    def _skip_role(self, final: bool) -> bool:
        if len(self._waiting) < _LONGEST_ROLE and "\n" not in self._waiting and not final:
            return False
        role = _ROLE.match(self._waiting)
        self._waiting = self._waiting[role.end() if role else 0 :]
        self._state = "text"
        return True

    def _drop(self, final: bool) -> bool:
        self._waiting = ""
        return False

    def _skip(
        self,
        mark: str,
        state: Literal["text", "hidden", "channel", "role", "over"],
        closing: tuple[str, ...] = (),
    ) -> None:
        self._waiting = self._waiting[len(mark) :]
        self._state, self._closing = state, closing

    def _give(self, length: int) -> None:
        piece, self._waiting = self._waiting[:length], self._waiting[length:]
        # The blank lines around thinking and marks are no part of an answer.
        if not self.text:
            piece = piece.lstrip()
        self.text += piece
        self._out.append(piece)

    def _in_code(self) -> bool:
        if self.text.count("```") % 2:
            return True
        return self.text.rpartition("\n")[2].count("`") % 2 == 1


def _may_become_mark(text: str) -> bool:
    lowered = text.lower()
    if _MAY_BEGIN.fullmatch(text):
        return True
    return any(word.startswith(lowered) for word in _WORDS)
