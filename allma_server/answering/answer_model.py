"""The chat model that answers a question, with the context length it runs with."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from allma_server.answering.context_lengths import STEPS
from allma_server.answering.models import require_model
from allma_server.config import Config
from allma_server.errors import ModelNotFound, ProviderError, ProviderUnreachable
from allma_server.ports import ChatModels, SettingsStore
from allma_server.types import ChatMessage, Finish, ModelInfo, ReplyEvent, TextDelta, Think

ANSWER_TOKENS = 1024
"""Tokens for an answer; at most a quarter of the context."""
HISTORY_SHARE = 0.25
"""Share of the longest prompt for earlier messages."""

THINKING_TOKENS = 2048
"""Tokens for thinking, beside those of the answer; at most a quarter of the context."""

DEFAULT_CONTEXT = 4096
MAX_CONTEXT = STEPS[-1]
"""Tokens requested of a model that supports more, because memory grows with the context."""


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """A chat model and the context length it runs with, in tokens, of at most `context_limit`.

    `can_think` if it may think before it answers.
    """

    chat: ChatModels
    name: str
    context_length: int
    context_limit: int
    can_think: bool = False
    think: Think = "auto"
    modified_at: str | None = None

    @property
    def thinking_tokens(self) -> int:
        """Tokens of the context that are reserved for thinking."""
        if not self.can_think or self.think == "off":
            return 0
        return min(THINKING_TOKENS, self.context_length // 4)

    @property
    def answer_tokens(self) -> int:
        """Tokens of the context that are reserved for the answer."""
        return min(ANSWER_TOKENS, self.context_length // 4)

    @property
    def reserved_tokens(self) -> int:
        """Tokens for thinking and answer together, in a context that is long enough."""
        whole = replace(self, context_length=self.context_limit)
        return whole.answer_tokens + whole.thinking_tokens

    @property
    def prompt_tokens(self) -> int:
        """Tokens available for the prompt."""
        return self.context_length - self.answer_tokens - self.thinking_tokens

    @property
    def history_tokens(self) -> int:
        """Tokens for earlier messages, beyond which they are summarized."""
        whole = replace(self, context_length=self.context_limit)
        return int(whole.prompt_tokens * HISTORY_SHARE)

    def with_shortest_context(self) -> "AnswerModel":
        """Return the model as most questions run it, so that a short reply reloads nothing."""
        return replace(self, context_length=min(STEPS[0], self.context_limit))

    def stream(
        self, messages: Sequence[ChatMessage], *, retry: bool = False
    ) -> AsyncGenerator[ReplyEvent]:
        """Generate an answer; `retry` makes it likely to differ from an earlier one."""
        return self.chat.stream(
            self.name,
            messages,
            context_length=self.context_length,
            max_tokens=self.answer_tokens,
            temperature=0.5 if retry else 0.0,
            think=self.think,
            max_thinking=self.thinking_tokens,
        )

    async def next_token(self, messages: Sequence[ChatMessage]) -> Mapping[str, float]:
        """Return the likeliest first tokens of an answer with their probabilities."""
        return await self.chat.next_token(self.name, messages, context_length=self.context_length)

    async def complete(self, messages: Sequence[ChatMessage], max_tokens: int) -> str:
        """Return a short text as a whole, such as a rewritten question."""
        stream = self.chat.stream(
            self.name,
            messages,
            context_length=self.context_length,
            max_tokens=max_tokens,
            temperature=0.0,
            think="off" if self.can_think else "auto",
            max_thinking=self.thinking_tokens,
        )
        text = ""
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text += event.text
                elif isinstance(event, Finish) and event.text is not None:
                    text = event.text
        return text


async def find_answer_model(
    requested: str | None,
    config: Config,
    store: SettingsStore,
    chat: ChatModels,
    think: Think | None = None,
) -> AnswerModel:
    """Return the model that answers now; `think` overrides the setting.

    Raises:
        ModelNotFound: no chat model is installed, or not the requested one.
        ProviderUnreachable: the provider does not answer.
    """
    name = await require_model(requested, config, store, chat)
    info = await _shown(name, chat)
    length = min(info.context_length or DEFAULT_CONTEXT, MAX_CONTEXT)
    can_think = "thinking" in info.capabilities
    how = think or config.think
    return AnswerModel(chat, name, length, length, can_think, how, info.modified_at)


async def _shown(name: str, chat: ChatModels) -> ModelInfo:
    try:
        return await chat.show(name)
    except (ProviderUnreachable, ModelNotFound):
        raise
    except ProviderError:
        return ModelInfo(name)  # a provider that reports nothing can still answer
