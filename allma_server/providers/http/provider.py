"""The configured model servers, with their names and hints for messages."""

from dataclasses import dataclass

from allma_server._internal.addresses import without_password
from allma_server.config import Config
from allma_server.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Provider:
    """A model server.

    `id`: as in the settings, `ollama` or `openai`. `address` may contain a password; `url` does
    not. `if_down` and `if_missing` are next steps; the latter contains `{model}`.
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
    """Return the configured Ollama server."""
    return Provider(
        "ollama",
        "Ollama",
        config.ollama_url,
        "Start it with `ollama serve` (or the Ollama app), or set ollama_url to its address.",
        "Download it with `allma models pull {model}`.",
    )


def openai(config: Config) -> Provider:
    """Return the configured OpenAI-compatible server.

    Raises:
        InvalidArgument: its address is not set.
    """
    if config.openai_url is None:
        raise InvalidArgument(
            "The address of the OpenAI-compatible server is not set.",
            "For example: `allma config set openai_url http://127.0.0.1:8080/v1`.",
        )
    return Provider(
        "openai",
        "The OpenAI-compatible server",
        config.openai_url,
        "Start it, or set openai_url to its address, which usually ends in /v1.",
        "`allma models list` shows what it serves.",
    )
