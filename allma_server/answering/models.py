"""Which model answers."""

from typing import Protocol

from allma_server.config import Config
from allma_server.errors import ModelNotFound, ModelUnsuitable
from allma_server.ports import ChatModels
from allma_server.types import ModelInfo

CHOSEN = "chat_model"
AUTO = "auto"


class Choices(Protocol):
    """Where the last choice is kept."""

    async def get_setting(self, key: str) -> str | None: ...
    async def set_setting(self, key: str, value: str) -> None: ...


async def model_in_use(
    asked: str | None, config: Config, choices: Choices, chat: ChatModels
) -> str | None:
    """The model asked for, else the setting, else the last one chosen, else the first that chats.

    Who asks for `auto` wants what comes after the setting. None when the provider has no model
    that can chat.

    Raises:
        ProviderUnreachable: nobody answers, and the choice needs the provider's list.
    """
    wanted = asked or config.chat_model
    if wanted != AUTO:
        return wanted
    installed = await chat.list()
    chosen = await choices.get_setting(CHOSEN)
    if chosen and find(chosen, installed):
        return chosen
    able = [model.name for model in installed if can_chat(model)]
    return able[0] if able else None


async def use(name: str, choices: Choices, chat: ChatModels) -> str:
    """Makes `name` the model that answers, and returns its full name.

    Raises:
        ModelNotFound: it is not installed.
        ModelUnsuitable: it cannot chat.
    """
    model = find(name, await chat.list())
    if model is None:
        raise ModelNotFound(
            f"The model {name!r} is not installed.",
            f"`allma models pull {name}` installs it; `allma models list` shows what is there.",
        )
    if not can_chat(model):
        raise ModelUnsuitable(f"{model.name} cannot chat.", "Choose another model.")
    await choices.set_setting(CHOSEN, model.name)
    return model.name


def find(name: str, models: list[ModelInfo]) -> ModelInfo | None:
    """The model of that name; `:latest` may be left out."""
    for model in models:
        if model.name in (name, f"{name}:latest"):
            return model
    return None


def can_chat(model: ModelInfo) -> bool:
    """Whether a model writes text; one that tells nothing of itself is given the chance."""
    return not model.capabilities or "completion" in model.capabilities
