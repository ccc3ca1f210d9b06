"""The model that writes an answer, with the room it has."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from allma_server.answering.models import Choices, model_in_use
from allma_server.config import Config
from allma_server.errors import ModelNotFound, ProviderError, ProviderUnreachable
from allma_server.ports import ChatModels
from allma_server.types import ChatMessage, Finish, TextDelta

ANSWER_TOKENS = 1024
"""Room kept for the answer in the model's context."""

DEFAULT_CONTEXT = 4096
LARGEST_CONTEXT = 16384
"""Context asked of a model that could take more: memory grows with it."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A model, and the tokens it is given to read and write."""

    chat: ChatModels
    model: str
    context: int

    @property
    def prompt_tokens(self) -> int:
        # A model with little room shares it between question and answer.
        return max(self.context - ANSWER_TOKENS, self.context // 2)

    def stream(
        self, messages: Sequence[ChatMessage], *, again: bool = False
    ) -> AsyncGenerator[TextDelta | Finish]:
        """An answer as it is generated; who asks `again` wants another one."""
        return self.chat.stream(
            self.model,
            messages,
            context_length=self.context,
            max_tokens=ANSWER_TOKENS,
            temperature=0.5 if again else 0.0,
        )

    async def complete(self, messages: Sequence[ChatMessage], tokens: int) -> str:
        """The whole of a short text that is asked for on the way to an answer."""
        stream = self.chat.stream(
            self.model, messages, context_length=self.context, max_tokens=tokens, temperature=0.0
        )
        said, whole = "", None
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    said += event.text
                else:
                    whole = event.text
        return said if whole is None else whole


async def writer_in_use(
    asked: str | None, config: Config, choices: Choices, chat: ChatModels
) -> Writer:
    """Whoever answers now.

    Raises:
        ModelNotFound: there is no model that chats, or not the one that was asked for.
        ProviderUnreachable: nobody answers.
    """
    model = await model_in_use(asked, config, choices, chat)
    if model is None:
        raise ModelNotFound("No chat model is installed.", "Run `allma models pull llama3.2`.")
    return Writer(chat, model, await _context_length(model, chat))


async def _context_length(model: str, chat: ChatModels) -> int:
    try:
        known = (await chat.show(model)).context_length
    except (ProviderUnreachable, ModelNotFound):
        raise
    except ProviderError:
        known = None  # a provider that cannot tell can still answer
    return min(known or DEFAULT_CONTEXT, LARGEST_CONTEXT)
