"""Separate thinking and chat-template marks from a model's streamed text.

Models think between marks such as `<think>` and `</think>`, at the start of an answer or of a line.
For some models the template contains the first mark, so they only write the second. Marks of chat
templates (`<|im_end|>`) are not part of an answer. Inside code, both are normal text.
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
_MAX_ROLE_LENGTH = 40

# Control characters, which can control a terminal, and invisible ones, which can reverse text; the
# joiners that scripts and emoji need are not among them.
REMOVED = dict.fromkeys(
    [
        *({*range(0x1C), *range(0x7F, 0xA0)} - {*range(0x09, 0x0D), 0x85}),
        *(0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)


class ThinkingFilter:
    """Filters a model's streamed text; `add` and `finish` return the visible part.

    `take_thoughts` returns the thinking since it was last called. With `starts_thinking`, the text
    begins with thinking whose first mark is missing: nothing is returned before the mark that ends
    it, or before `release`.
    """

    def __init__(self, *, starts_thinking: bool = False) -> None:
        self.text = ""
        """The visible text, without thinking that was only recognised after it was returned."""
        self.is_late = False
        """Whether there was such thinking, so that `text` differs from what was returned."""
        self.thought_length = 0
        """Characters of thinking."""
        self._held = starts_thinking
        self._pending = ""
        self._closing: tuple[str, ...] = ()
        self._state: Literal["text", "hidden", "channel", "role", "over"] = "text"
        self._opened: set[str] = set()
        self._out: list[str] = []
        self._thoughts: list[str] = []

    def add(self, piece: str) -> str:
        """Add the next piece and return what can be shown now."""
        return self._process(piece.translate(REMOVED), final=False)

    def finish(self) -> str:
        """Return the rest, after the model has ended."""
        return self._process("", final=True) + self.release()

    def take_thoughts(self) -> str:
        """Return the thinking that was recognised since the last call."""
        thoughts, self._thoughts = "".join(self._thoughts), []
        return thoughts

    def release(self) -> str:
        """Return the text held back, which turned out not to be thinking."""
        held, self._held = self.text if self._held else "", False
        return held

    def _process(self, piece: str, *, final: bool) -> str:
        self._pending += piece
        steps = {
            "text": self._read_text, "hidden": self._skip_thinking, "channel": self._read_channel,
            "role": self._skip_role, "over": self._skip_rest,
        }  # fmt: skip
        while self._pending and steps[self._state](final):
            pass
        shown, self._out = "".join(self._out), []
        if self._held:
            self._thoughts.append(shown)
            return ""
        return shown

    def _read_text(self, final: bool) -> bool:
        """Emit text up to the next mark; return whether more may follow."""
        first = _FIRST.search(self._pending)
        self._emit(first.start() if first else len(self._pending))
        if first is None:
            return False
        mark = _MARK.match(self._pending)
        if mark is None:
            if not final and _may_become_mark(self._pending):
                return False
            self._emit(1)
            return True
        self._handle_mark(mark[0])
        return True

    def _handle_mark(self, mark: str) -> None:
        """Handle a mark at the start of the pending text."""
        word, has_begun = mark.lower(), bool(self.text.strip())
        # `<s>` inside an answer is the HTML element for strikethrough.
        if self._in_code() or (word == "<s>" and has_begun):
            self._emit(len(mark))
        elif word in _PAIRS:
            at_line_start = not has_begun or self.text.rstrip(" \t").endswith("\n")
            if at_line_start:
                self._skip(mark, "hidden", (_PAIRS[word],))
            else:
                self._opened.add(word)
                self._emit(len(mark))
        elif word in _OPENING:
            self._close(mark, word, has_begun)
        elif word == _CHANNEL:
            self._skip(mark, "channel")
        elif has_begun and (word in _ENDS or word in _TURNS):
            self._skip(mark, "over")
        else:
            self._skip(mark, "role" if word in _TURNS else "text")

    def _close(self, mark: str, word: str, has_begun: bool) -> None:
        if _OPENING[word] in self._opened:
            self._emit(len(mark))
            return
        self._skip(mark, "text")
        if has_begun and not self.thought_length:
            if self._held:
                self._thoughts += self._out
            self.thought_length, self.text, self._out = len(self.text), "", []
            self.is_late = not self._held
        self._held = False

    def _skip_thinking(self, final: bool) -> bool:
        lowered = self._pending.lower()
        found = [(at, c) for c in self._closing if (at := lowered.find(c)) >= 0]
        if not found:
            kept = 0 if final else max(map(len, self._closing)) - 1
            hidden = max(0, len(self._pending) - kept)
            self._think(self._pending[:hidden])
            self._pending = self._pending[hidden:]
            return False
        at, closing = min(found)
        self._think(self._pending[:at])
        # These marks also begin the next part of the reply, so they stay.
        keeps = closing in (_CHANNEL, "<|start|>")
        self._pending = self._pending[at if keeps else at + len(closing) :]
        self._state, self._held = "text", False
        return True

    def _think(self, thought: str) -> None:
        self.thought_length += len(thought)
        self._thoughts.append(thought)

    def _read_channel(self, final: bool) -> bool:
        """Read the name of a channel; only `final` is visible."""
        name, found, _ = self._pending.partition("<|message|>")
        if not found and len(name) < _MAX_ROLE_LENGTH and not final:
            return False
        self._pending = self._pending[len(name) + len(found) :] if found else ""
        shown = name.strip().lower().startswith("final")
        self._state, self._closing = ("text", ()) if shown else ("hidden", _CHANNEL_ENDS)
        return True

    def _skip_role(self, final: bool) -> bool:
        if len(self._pending) < _MAX_ROLE_LENGTH and "\n" not in self._pending and not final:
            return False
        role = _ROLE.match(self._pending)
        self._pending = self._pending[role.end() if role else 0 :]
        self._state = "text"
        return True

    def _skip_rest(self, final: bool) -> bool:
        self._pending = ""
        return False

    def _skip(
        self,
        mark: str,
        state: Literal["text", "hidden", "channel", "role", "over"],
        closing: tuple[str, ...] = (),
    ) -> None:
        self._pending = self._pending[len(mark) :]
        self._state, self._closing = state, closing

    def _emit(self, length: int) -> None:
        piece, self._pending = self._pending[:length], self._pending[length:]
        # Blank lines around thinking and marks are not part of the answer.
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
