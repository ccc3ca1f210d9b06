"""A chat model's reply as it comes from a server: what of it is the answer, and how it ended.

The same for every server: thinking is left out, an end without an answer is told as what it was,
and neither the length of a reply nor the time it takes is the server's to decide.
"""

import time
from collections.abc import Iterator

from allma_server.errors import AnswerInterrupted, EmptyAnswer, ProviderError, ProviderUnreachable
from allma_server.providers.chat.thinking import VisibleText
from allma_server.providers.http import Listening
from allma_server.types import Finish, TextDelta

# A large model may have to be read from a slow disk first, and a long prompt be worked through.
FIRST_TOKEN_SECONDS = 600.0
NEXT_TOKEN_SECONDS = 120.0
REPLY_SECONDS = 3600.0

LONGEST_REPLY = 4096
"""Tokens of a reply to a question that sets no limit."""

_CHARACTERS_OF_A_TOKEN = 64
"""More than any has on average: who writes more does not keep to the limit it was given."""

_AGAIN = "Ask again, or choose another model: `allma models list` shows them."


class Reply:
    """One reply of `model`, of at most `max_tokens`, by the server that people know as `server`.

    `held`: the model is known to begin with thinking that is not marked as such.
    """

    def __init__(
        self, server: str, model: str, max_tokens: int | None, *, held: bool = False
    ) -> None:
        self.max_tokens = max_tokens or LONGEST_REPLY
        self.listening = Listening(FIRST_TOKEN_SECONDS, NEXT_TOKEN_SECONDS, REPLY_SECONDS)
        self._server = server
        self._model = model
        self._visible = VisibleText(held=held)
        self._held = held
        self._size = 0
        self._thought = False
        self._called = False

    @property
    def begun(self) -> bool:
        """Whether something of the answer has been given."""
        return bool(self._visible.text) and not self._held

    @property
    def thinks_unmarked(self) -> bool:
        """Whether thinking was marked by its end alone."""
        return self._visible.late

    def add(self, text: str, *, thought: bool = False, tool: bool = False) -> Iterator[TextDelta]:
        """Takes what the server has sent: text, a `thought`, or that it asks for a `tool`.

        Raises:
            ProviderError: it says nothing for too long, or does not end.
        """
        self._called = self._called or tool
        if not text:
            self._still_waits()
            return
        self.listening.heard()
        self._size += len(text)
        if self._size > max(10_000, _CHARACTERS_OF_A_TOKEN * self.max_tokens):
            raise self._failed(
                f"{self._model} wrote far more than it was asked for, and was stopped."
            )
        if thought:
            self._thought = True
            # What this server says beside the thinking is none.
            given = self._visible.release() if self._held else ""
        else:
            given = self._visible.add(text)
        if self._held and (given or self._visible.thought):
            self._held = False
        if given:
            self.listening.broken = AnswerInterrupted
            yield TextDelta(given)

    def end(
        self, reason: str, prompt_tokens: int | None, answer_tokens: int | None
    ) -> Iterator[TextDelta | Finish]:
        """The rest of the answer, and its end; `reason` is the server's.

        Raises:
            EmptyAnswer: there is no answer.
            AnswerInterrupted: it was not the model that ended it.
        """
        visible = self._visible
        # A reply that was cut off before its thinking ended has nothing but thinking.
        given = "" if self._held and reason == "length" else visible.finish()
        if not (given or self.begun) or not visible.text.strip():
            raise EmptyAnswer(self._nothing(reason), _AGAIN)
        if given:
            yield TextDelta(given)
        if reason in ("content_filter", "error"):
            why = "its content filter" if reason == "content_filter" else "a failure"
            raise AnswerInterrupted(f"{self._server} ended the answer early: {why}.", _AGAIN)
        yield Finish(
            "length" if reason == "length" else "stop",
            prompt_tokens,
            answer_tokens,
            visible.text if visible.late else None,
        )

    def cut_short(self) -> ProviderError:
        """What it means that the server said no more, and not that it was done."""
        if self.begun:
            return AnswerInterrupted(
                f"{self._server} ended the answer before it was complete.",
                "Ask again to have it repeated.",
            )
        return ProviderUnreachable(
            f"{self._server} closed the connection before {self._model} had answered.",
            "Try again; its log may say why.",
        )

    def _still_waits(self) -> None:
        if time.monotonic() > self.listening.deadline:
            raise self._failed(f"{self._server} {self.listening.silence}.")

    def _failed(self, message: str) -> ProviderError:
        if self.begun:
            return AnswerInterrupted(message, "Ask again to have it repeated.")
        return EmptyAnswer(message, _AGAIN)

    def _nothing(self, reason: str) -> str:
        model = self._model
        if reason == "content_filter":
            return f"The content filter of {self._server} let no answer through."
        if self._thought or self._visible.thought or self._held:
            if reason == "length":
                return (
                    f"{model} used up its {self.max_tokens:,} tokens thinking, and did not answer."
                )
            return f"{model} ended after thinking, without an answer."
        if self._called:
            return f"{model} asked for a tool to be run and gave no answer."
        if reason in ("load", "unload"):
            return f"{self._server} only {reason}ed {model}, and gave no answer."
        if reason == "length":
            return f"{model} came to the end of its tokens without writing anything."
        return f"{model} ended without writing anything."
