"""Process the streamed reply of a chat model, in the same way for every server.

Thinking is kept apart, a reply without an answer raises the error that explains it, and both the
length and the duration of a reply are limited.
"""

import time
from collections.abc import Iterator

from allma_server.errors import AnswerInterrupted, EmptyAnswer, ProviderError, ProviderUnreachable
from allma_server.providers.chat.thinking import REMOVED, ThinkingFilter
from allma_server.providers.http import StreamTimeouts
from allma_server.types import Finish, ReplyEvent, TextDelta, ThoughtDelta

FIRST_TOKEN_SECONDS = 600.0
"""A large model may have to be loaded from a slow disk, and a long prompt processed."""
NEXT_TOKEN_SECONDS = 120.0
REPLY_SECONDS = 3600.0

DEFAULT_MAX_TOKENS = 4096
"""Limit of a reply if the caller sets none."""

_MAX_CHARACTERS_PER_TOKEN = 64
"""Far above any average, so a server that sends more ignores the limit of tokens."""

_LONG_TOKEN = 6
"""Characters of a long token, by which pieces of several tokens are counted."""

_RETRY_HINT = "Ask again, or choose another model: `allma models list` shows them."


class Reply:
    """One reply of a chat model."""

    def __init__(
        self,
        server: str,
        model: str,
        max_tokens: int | None,
        *,
        max_thinking: int = 0,
        starts_thinking: bool = False,
    ) -> None:
        """Begin a reply.

        Args:
            server: the name of the server in messages.
            model: the name of the model.
            max_tokens: the limit of the answer; None for the default.
            max_thinking: the limit of thinking; 0 if it has none of its own.
            starts_thinking: whether the model begins with thinking that only its end marks.
        """
        self.max_tokens = (max_tokens or DEFAULT_MAX_TOKENS) + max_thinking
        """The limit of the whole reply."""
        self._max_thinking = max_thinking
        self._thought_tokens = 0
        self.timeouts = StreamTimeouts(FIRST_TOKEN_SECONDS, NEXT_TOKEN_SECONDS, REPLY_SECONDS)
        self._server = server
        self._model = model
        self._filter = ThinkingFilter(starts_thinking=starts_thinking)
        self._held = starts_thinking
        self._size = 0
        self._has_thoughts = False
        self._has_tool_calls = False

    @property
    def has_begun(self) -> bool:
        """Whether some of the answer has been returned."""
        return bool(self._filter.text) and not self._held

    @property
    def thinks_unmarked(self) -> bool:
        """Whether only the end of the thinking was marked."""
        return self._filter.is_late

    def add(self, text: str, *, thought: bool = False, tool: bool = False) -> Iterator[ReplyEvent]:
        """Add text from the server and yield the thinking and the part of the answer in it.

        Args:
            text: empty if the server sent something else.
            thought: the text is thinking.
            tool: the server requested a tool call.

        Raises:
            ProviderError: the server sends nothing useful for too long, or does not end.
        """
        self._has_tool_calls = self._has_tool_calls or tool
        if not text:
            self._check_deadline()
            return
        self.timeouts.received()
        self._size += len(text)
        if self._size > max(10_000, _MAX_CHARACTERS_PER_TOKEN * self.max_tokens):
            raise self._failure(f"{self._model} wrote far more than its limit and was stopped.")
        if thought:
            self._has_thoughts = True
            # This server marks thinking itself, so the other text is the answer.
            shown = self._filter.release() if self._held else ""
            thoughts = text.translate(REMOVED)
        else:
            shown = self._filter.add(text)
            thoughts = self._filter.take_thoughts()
        if thoughts:
            self._count_thoughts(thoughts)
            yield ThoughtDelta(thoughts)
        if self._held and (shown or self._filter.thought_length):
            self._held = False
        if shown:
            self.timeouts.error = AnswerInterrupted
            yield TextDelta(shown)

    def end(
        self, reason: str, prompt_tokens: int | None, answer_tokens: int | None
    ) -> Iterator[ReplyEvent]:
        """Yield the rest of the answer and its end.

        Args:
            reason: why it ended, in the server's words.
            prompt_tokens: as the server counted them.
            answer_tokens: as the server counted them.

        Raises:
            EmptyAnswer: there is no answer.
            AnswerInterrupted: the answer was not ended by the model.
        """
        answer = self._filter
        # A reply that was cut off before the end of its thinking is all thinking.
        rest = "" if self._held and reason == "length" else answer.finish()
        if not (rest or self.has_begun) or not answer.text.strip():
            raise EmptyAnswer(self._explain_empty(reason), _RETRY_HINT, thought=self._has_thought)
        if rest:
            yield TextDelta(rest)
        if reason in ("content_filter", "error"):
            cause = "its content filter" if reason == "content_filter" else "a failure"
            raise AnswerInterrupted(f"{self._server} ended the answer early: {cause}.", _RETRY_HINT)
        yield Finish(
            "length" if reason == "length" else "stop",
            prompt_tokens,
            answer_tokens,
            answer.text if answer.is_late else None,
        )

    def interrupted(self) -> ProviderError:
        """Return the error for a stream that ended without saying that it is complete."""
        if self.has_begun:
            return AnswerInterrupted(
                f"{self._server} ended the answer before it was complete.",
                "Ask again to have it repeated.",
            )
        return ProviderUnreachable(
            f"{self._server} closed the connection before {self._model} had answered.",
            "Try again, or see its log.",
        )

    @property
    def _has_thought(self) -> bool:
        return self._has_thoughts or bool(self._filter.thought_length) or self._held

    def _count_thoughts(self, thoughts: str) -> None:
        """Count thinking; each piece is at least one token.

        Raises:
            EmptyAnswer: it exceeds its limit, so that nothing would be left for the answer.
        """
        self._thought_tokens += max(1, len(thoughts) // _LONG_TOKEN)
        if self._max_thinking and self._thought_tokens > self._max_thinking:
            raise EmptyAnswer(
                f"{self._model} was still thinking after {self._max_thinking:,} tokens "
                "and was stopped.",
                "Ask with think off, or choose another model.",
                thought=True,
            )

    def _check_deadline(self) -> None:
        if time.monotonic() > self.timeouts.deadline:
            raise self._failure(f"{self._server} {self.timeouts.description}.")

    def _failure(self, message: str) -> ProviderError:
        if self.has_begun:
            return AnswerInterrupted(message, "Ask again to have it repeated.")
        return EmptyAnswer(message, _RETRY_HINT)

    def _explain_empty(self, reason: str) -> str:
        model = self._model
        if reason == "content_filter":
            return f"The content filter of {self._server} blocked the answer."
        if self._has_thought:
            if reason == "length":
                return (
                    f"{model} used up its {self.max_tokens:,} tokens thinking and did not answer."
                )
            return f"{model} ended after thinking, without an answer."
        if self._has_tool_calls:
            return f"{model} asked for a tool call and gave no answer."
        if reason in ("load", "unload"):
            return f"{self._server} only {reason}ed {model} and gave no answer."
        if reason == "length":
            return f"{model} reached the end of its tokens without writing anything."
        return f"{model} ended without writing anything."
