"""The chat model that answers a question, with the context length it runs with."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from allma_server.answering.models import require_model
from allma_server.config import Config
from allma_server.errors import ModelNotFound, ProviderError, ProviderUnreachable
from allma_server.ports import ChatModels, SettingsStore
from allma_server.types import ChatMessage, Finish, ModelInfo, TextDelta

ANSWER_TOKENS = 1024
"""Tokens of the context that are reserved for the answer."""

DEFAULT_CONTEXT = 4096
MAX_CONTEXT = 16384
"""Tokens requested of a model that supports more, because memory grows with the context."""


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """A chat model and its context length in tokens."""

    chat: ChatModels
    name: str
    context_length: int
    modified_at: str | None = None

    @property
    def prompt_tokens(self) -> int:
        """Tokens available for the prompt."""
        # With a short context, half of it is left for the answer.
        return max(self.context_length - ANSWER_TOKENS, self.context_length // 2)

    def stream(
        self, messages: Sequence[ChatMessage], *, retry: bool = False
    ) -> AsyncGenerator[TextDelta | Finish]:
        """Generate an answer; `retry` makes it likely to differ from an earlier one."""
        return self.chat.stream(
            self.name,
            messages,
            context_length=self.context_length,
            max_tokens=ANSWER_TOKENS,
            temperature=0.5 if retry else 0.0,
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
        )
        text = ""
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text += event.text
                elif event.text is not None:
                    text = event.text
        return text


async def find_answer_model(
    requested: str | None, config: Config, store: SettingsStore, chat: ChatModels
) -> AnswerModel:
    """Return the model that answers now.

    Raises:
        ModelNotFound: no chat model is installed, or not the requested one.
        ProviderUnreachable: the provider does not answer.
    """
    name = await require_model(requested, config, store, chat)
    try:
        info = await chat.show(name)
    except (ProviderUnreachable, ModelNotFound):
        raise
    except ProviderError:
        info = ModelInfo(name)  # a provider that reports nothing can still answer
    length = min(info.context_length or DEFAULT_CONTEXT, MAX_CONTEXT)
    return AnswerModel(chat, name, length, info.modified_at)
