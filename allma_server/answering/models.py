"""Select the chat model that answers."""

from allma_server.config import Config
from allma_server.errors import ModelNotFound, ModelUnsuitable
from allma_server.ports import ChatModels, SettingsStore
from allma_server.types import ModelInfo

SELECTED_MODEL = "chat_model"
"""The stored setting with the model that `select_model` selected last."""
AUTO = "auto"


async def model_in_use(
    requested: str | None, config: Config, store: SettingsStore, chat: ChatModels
) -> str | None:
    """Return the name of the model that answers; None if the provider has no chat model.

    That is the requested model, else the one in the settings, else the one selected last, else
    the first installed one that can chat. `auto` skips the first two.

    Raises:
        ProviderUnreachable: the list of models is needed and the provider does not answer.
    """
    wanted = requested or config.chat_model
    if wanted != AUTO:
        return wanted
    installed = await chat.list()
    selected = await store.get_setting(SELECTED_MODEL)
    if selected and find_model(selected, installed):
        return selected
    return next((model.name for model in installed if can_chat(model)), None)


async def require_model(
    requested: str | None, config: Config, store: SettingsStore, chat: ChatModels
) -> str:
    """Return the name of the model that answers.

    Raises:
        ModelNotFound: no chat model is installed.
        ProviderUnreachable: as `model_in_use`.
    """
    name = await model_in_use(requested, config, store, chat)
    if name is None:
        raise ModelNotFound("No chat model is installed.", "Run `allma models pull llama3.2`.")
    return name


async def select_model(name: str, store: SettingsStore, chat: ChatModels) -> str:
    """Make `name` the model that answers and return its full name.

    Raises:
        ModelNotFound: it is not installed.
        ModelUnsuitable: it cannot chat.
    """
    model = find_model(name, await chat.list())
    if model is None:
        raise ModelNotFound(
            f"The model {name!r} is not installed.",
            f"`allma models pull {name}` installs it; `allma models list` shows what is installed.",
        )
    if not can_chat(model):
        raise ModelUnsuitable(f"{model.name} cannot chat.", "Choose another model.")
    await store.set_setting(SELECTED_MODEL, model.name)
    return model.name


def find_model(name: str, models: list[ModelInfo]) -> ModelInfo | None:
    """Return the model of that name, which may leave out `:latest`."""
    for model in models:
        if model.name in (name, f"{name}:latest"):
            return model
    return None


def can_chat(model: ModelInfo) -> bool:
    """Return whether a model generates text; assumed if it reports no capabilities."""
    return not model.capabilities or "completion" in model.capabilities
