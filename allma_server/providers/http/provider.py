"""The model servers of the settings, as people are told of them."""

from dataclasses import dataclass

from allma_server._internal.addresses import without_password
from allma_server.config import Config
from allma_server.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Provider:
    """A model server; `{model}` in `if_missing` is the model's name.

    `id`: as in the settings, `ollama` or `openai`. `address` may hold a password: `url` is shown.
    """

    id: str
    name: str
    address: str
    if_down: str
    if_missing: str

    @property
    def url(self) -> str:
        return without_password(self.address)


def ollama(config: Config) -> Provider:
    """The Ollama server of the settings."""
    return Provider(
        "ollama",
        "Ollama",
        config.ollama_url,
        "Start it with `ollama serve` (or the Ollama app), or set ollama_url to where it runs.",
        "Download it with `allma models pull {model}`.",
    )


def openai(config: Config) -> Provider:
    """The OpenAI-compatible server of the settings.

    Raises:
        InvalidArgument: its address is not set.
    """
    if config.openai_url is None:
        raise InvalidArgument(
            "The address of the OpenAI-compatible server is not set.",
            "`allma config set openai_url http://127.0.0.1:8080/v1`, for example.",
        )
    return Provider(
        "openai",
        "The OpenAI-compatible server",
        config.openai_url,
        "Start it, or set openai_url to where it runs (the address usually ends in /v1).",
        "`allma models list` shows what it serves.",
    )
