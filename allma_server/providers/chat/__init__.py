"""Chat model providers. To add one, add a file here and a line in CHAT_MODELS."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from allma_server.config import Config
from allma_server.errors import InvalidArgument
from allma_server.ports import ChatModels
from allma_server.providers.chat.ollama import open_ollama
from allma_server.providers.chat.openai import open_openai
from allma_server.providers.chat.scripted import open_scripted

CHAT_MODELS: Mapping[str, Callable[[Config], AbstractAsyncContextManager[ChatModels]]] = {
    "ollama": open_ollama,
    "openai": open_openai,
    "scripted": open_scripted,
}


def open_chat_models(config: Config) -> AbstractAsyncContextManager[ChatModels]:
    """Open the provider that `chat_provider` names; it need not be running yet.

    Raises:
        InvalidArgument: there is no such provider, or its address is not set.
    """
    if config.chat_provider not in CHAT_MODELS:
        raise InvalidArgument(
            f"There is no chat provider {config.chat_provider!r}.",
            f"The providers are {', '.join(CHAT_MODELS)}.",
        )
    return CHAT_MODELS[config.chat_provider](config)
