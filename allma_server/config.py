"""Settings: one frozen model, and the only code that reads the environment and TOML.

Order, later wins: defaults, `config.toml`, `ALLMA_*` (and `OLLAMA_HOST`), the client's values.
There are no nested keys, so a setting has the same name everywhere.

Not pydantic-settings: it ignores unknown `ALLMA_*` variables, which are an error here, and does not
tell which layer a value came from.
"""

import difflib
import logging
import os
import re
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from allma_server._internal.addresses import OLLAMA_PORT, server_address
from allma_server._internal.validation import requirement
from allma_server.errors import InvalidArgument, UnknownSetting
from allma_server.locations import config_file, default_data_dir, read_config
from allma_server.types import Think

_log = logging.getLogger(__name__)

_KEY = "_API_KEY"
"""Suffix of variables that hold a secret and are not settings."""

Source = Literal["default", "config.toml", "environment", "client"]
_SOURCES: Mapping[Source, str] = {
    "default": "the defaults",
    "config.toml": "the settings file",
    "environment": "the environment",
    "client": "the command line",
}


class Config(BaseModel):
    """All settings of a process. The field descriptions are their documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where Allma stores its data. Must be on a local disk.",
    )
    ollama_url: str = Field(
        default="http://127.0.0.1:11434", description="Address of the Ollama server."
    )
    openai_url: str | None = Field(
        default=None,
        description="Base URL of an OpenAI-compatible server (llama.cpp, vLLM, LM Studio), "
        "such as http://127.0.0.1:8080/v1.",
    )
    chat_provider: str = Field(
        default="ollama", description="What generates answers: ollama or openai."
    )
    chat_model: str = Field(
        default="auto",
        description="A model name, or auto: the last one chosen, else the first one that can chat.",
    )
    think: Think = Field(
        default="auto",
        description="Whether a model that can think does so before it answers: on, off, or auto "
        "(off where the server lets it be chosen, so that answers begin at once).",
    )
    embedder: str = Field(
        default="auto",
        description="provider/model, such as ollama/nomic-embed-text or "
        "local/all-MiniLM-L6-v2-int7, or onnx/PATH (a folder with model.onnx and tokenizer.json in "
        "the layout of sentence-transformers); auto is decided once per data directory and then "
        "kept.",
    )
    embed_threads: int = Field(
        default=0, ge=0, le=64, description="Threads of an embedder in this process; 0 chooses."
    )
    vector_store: str = Field(
        default="chroma",
        description="What searches the vectors: chroma, exact (compares all of them), or weaviate "
        "(a server or cluster at vector_store_url; it gets ids and vectors, no text).",
    )
    vector_store_url: str | None = Field(
        default=None,
        description="Address of the vector store's server; none runs the store on this machine. "
        "Nodes of a Weaviate cluster are separated by commas, and `/?grpc=PORT` follows where one "
        "does not answer gRPC at 50051.",
    )
    chroma_url: str | None = Field(
        default=None,
        description="The same for Chroma only, from before vector_store_url.",
    )
    chroma_payload: Literal["full", "ids"] = Field(
        default="full",
        description="What the vector store keeps beside each vector: full (text and metadata) or "
        "ids (a quarter of the disk, for large indexes).",
    )
    shared_url: str | None = Field(
        default=None,
        description="Address of the Weaviate cluster in which `allma share` publishes folders and "
        "searches those of others, written like vector_store_url; without one it is that of "
        "vector_store = weaviate.",
    )
    chunk_size: int = Field(
        default=1000, ge=100, le=8000, description="Maximum size of a chunk, in characters."
    )
    chunk_overlap: int = Field(
        default=200,
        ge=0,
        le=2000,
        description="Overlap of chunks that are not split at a structural boundary, in characters.",
    )
    max_file_mb: int = Field(
        default=50, ge=1, le=2000, description="Larger files are skipped, in megabytes."
    )
    mask_secrets: bool = Field(
        default=True,
        description="Mask passwords, keys and tokens found in documents: in the index, passages, "
        "prompts and what is read.",
    )
    parse_seconds: int = Field(
        default=20,
        ge=1,
        le=600,
        description="Processor time for reading one file, in seconds; large files get more.",
    )
    parse_workers: int = Field(
        default=0, ge=0, le=32, description="Processes that read files; 0 chooses."
    )
    ocr: str = Field(
        default="auto",
        description="What recognises text in pictures and scanned pages: rapidocr, off, or auto "
        "(rapidocr if the extra `ocr` is installed, else off).",
    )
    top_k: int = Field(
        default=5,
        ge=1,
        le=50,
        description="Maximum number of passages that a search returns and a model gets.",
    )
    reranker: str = Field(
        default="words",
        description="What reranks the best passages: words (no model), chat or chat/MODEL (a chat "
        "model), or onnx/PATH (a cross-encoder: a folder with model.onnx and tokenizer.json).",
    )
    rerank_seconds: float = Field(
        default=5,
        gt=0,
        le=300,
        description="Time limit of a reranking model, in seconds; then its scores are not used.",
    )
    watch: bool = Field(default=True, description="Follow changes in registered workspaces.")
    idle_minutes: float = Field(
        default=10,
        gt=0,
        description="Minutes without clients or work after which the shared engine exits.",
    )

    http_host: str = Field(
        default="127.0.0.1",
        description="Address at which `allma serve` listens; 0.0.0.0 is every address.",
    )
    http_port: int = Field(
        default=8642, ge=0, le=65_535, description="Port of `allma serve`; 0 takes a free one."
    )
    http_names: str = Field(
        default="",
        description="Names under which clients reach `allma serve`, such as allma.example.org, "
        "separated by commas; localhost and http_host are known.",
    )
    cors_origins: str = Field(
        default="",
        description="Other web pages that may use `allma serve`, such as https://wiki.example.org, "
        "separated by commas.",
    )
    rate_limit: str = Field(
        default="600/minute",
        description="Requests over HTTP that each client may make, such as 600/minute.",
    )

    response_cache_seconds: int = Field(
        default=0,
        ge=0,
        le=604_800,
        description="How long an answer is given again to the same question while nothing it "
        "depends on changes, in seconds; 0 is never.",
    )

    @field_validator("data_dir", mode="before")
    @classmethod
    def _absolute(cls, value: Any) -> Path:
        if not str(value).strip():
            raise ValueError("it is empty; remove it for the default folder")
        return Path(os.path.abspath(os.path.expanduser(value)))

    @field_validator("ollama_url", mode="before")
    @classmethod
    def _ollama_address(cls, value: Any) -> Any:
        return _address(value, OLLAMA_PORT) or cls.model_fields["ollama_url"].default

    @field_validator("rate_limit")
    @classmethod
    def _rate(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d{0,8} ?/ ?(second|minute|hour|day)", value):
            raise ValueError("write a number and second, minute, hour or day, such as 600/minute")
        return value

    @field_validator("openai_url", "chroma_url", mode="before")
    @classmethod
    def _other_address(cls, value: Any) -> Any:
        return _address(value, None)

    @field_validator("vector_store_url", "shared_url", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        nodes = (_address(each, None) for each in value.split(","))
        return ",".join(node for node in nodes if node) or None


def load_config(client: Mapping[str, Any] | None = None) -> Config:
    """Return the settings in effect.

    Raises:
        UnknownSetting: a key does not exist, in any layer.
        InvalidArgument: a value has the wrong type, or the settings file is not TOML.
    """
    return load_with_sources(client)[0]


def load_with_sources(
    client: Mapping[str, Any] | None = None,
) -> tuple[Config, dict[str, Source]]:
    """Return the settings in effect, and the layer that each value came from."""
    layers: list[tuple[Source, Mapping[str, Any]]] = [
        ("config.toml", read_file(config_file())),
        ("environment", _environment()),
        ("client", {k: v for k, v in (client or {}).items() if v not in (None, "")}),
    ]
    values: dict[str, object] = {}
    sources: dict[str, Source] = dict.fromkeys(Config.model_fields, "default")
    for source, layer in layers:
        for key, value in layer.items():
            check_key(key)
            values[key] = value
            sources[key] = source
    try:
        return Config.model_validate(values), sources
    except ValidationError as exc:
        first = exc.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        raise InvalidArgument(
            f"{key} {requirement(first, Config.model_fields.get(key))}.",
            f"The value comes from {_SOURCES[sources.get(key, 'client')]}. "
            "`allma config list` shows all settings.",
        ) from exc


LIVE = frozenset(
    {"chat_model", "think", "top_k", "rerank_seconds", "idle_minutes", "response_cache_seconds"}
)
"""Settings that a running engine follows; the others take effect when it opens again."""


SERVER = frozenset({"http_host", "http_port", "http_names", "cors_origins", "rate_limit"})
"""Settings of `allma serve`, which reads them when it starts; the engine does not use them."""


class LiveSettings:
    """The settings of an engine; `LIVE` ones follow the settings file while it runs.

    `client`: values that override the user's own. All methods but `current` read files, so on an
    event loop they run in a thread.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._loaded: Config | None = None
        self._version: object = None
        self._reading = threading.Lock()

    def load(self) -> Config:
        """Read all settings, for an engine that is about to open.

        Raises:
            UnknownSetting, InvalidArgument: as `load_config`.
        """
        with self._reading:
            self._version = _file_version(config_file())
            self._loaded = load_config(self._client)
            return self._loaded

    def current(self) -> Config:
        """Return the settings as they were last read; `load` must have succeeded before."""
        assert self._loaded is not None
        return self._loaded

    def refresh(self) -> Config:
        """Read the settings file again if it changed, and return the settings in effect.

        An invalid file changes nothing.

        Raises:
            UnknownSetting, InvalidArgument: as `load_config`, before `load` succeeded.
        """
        with self._reading:
            if self._loaded is None:
                return load_config(self._client)
            if (version := _file_version(config_file())) != self._version:
                self._version = version
                try:
                    new = load_config(self._client)
                except InvalidArgument as exc:
                    _log.warning("keeping the previous settings: %s", exc)
                else:
                    changes = {key: getattr(new, key) for key in LIVE}
                    self._loaded = self._loaded.model_copy(update=changes)
            return self._loaded

    def running_values(self) -> dict[str, object]:
        """Return the running engine's settings as JSON data; empty while no engine is open."""
        return {} if self._loaded is None else self.refresh().model_dump(mode="json")

    def pending_restart(self) -> dict[str, object]:
        """Return the settings whose new value takes effect after a restart, with that value."""
        if self._loaded is None:
            return {}
        try:
            new = load_config(self._client)
        except InvalidArgument:
            return {}
        now = self.refresh()
        shared = Config.model_fields.keys() - SERVER
        return {k: getattr(new, k) for k in shared if getattr(new, k) != getattr(now, k)}

    def idle_minutes(self) -> float:
        """Return how long the engine stays without clients, also when the settings are invalid."""
        try:
            return self.refresh().idle_minutes
        except InvalidArgument:
            return Config().idle_minutes


def _file_version(path: Path) -> object:
    """Return a value that differs once the file was written again; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def question_defaults(given: object) -> dict[str, object]:
    """Return default arguments of questions, from the settings that a client's hello contains.

    Invalid ones are left out: the user who asks cannot change them.
    """
    defaults: dict[str, object] = {}
    for key, value in (cast(dict[str, object], given) if isinstance(given, dict) else {}).items():
        try:
            checked = getattr(Config.model_validate({key: value}), key)
        except (ValidationError, AttributeError):
            _log.warning("ignoring the invalid setting %s of a client", key)
            continue
        if (argument := _ARGUMENTS.get(key)) is not None:
            defaults[argument] = checked
    return defaults


_ARGUMENTS = {"chat_model": "model", "top_k": "top_k"}


def check_key(key: str) -> None:
    """Raise UnknownSetting, naming the nearest key, unless `key` is a setting."""
    if key.upper().endswith(_KEY):
        raise UnknownSetting(
            "An API key is not a setting.",
            "Store it with `allma config set-key ollama` (or openai, vector_store).",
        )
    if key not in Config.model_fields:
        near = difflib.get_close_matches(key, Config.model_fields, n=1, cutoff=0.5)
        raise UnknownSetting(
            f"There is no setting named {key!r}.",
            f"Did you mean {near[0]!r}?" if near else "`allma config list` shows all settings.",
        )


def read_file(path: Path) -> dict[str, object]:
    """Return the keys of a settings file; empty if there is none."""
    try:
        return tomllib.loads(read_config(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidArgument(
            f"Cannot read the settings file {path}: {exc}.", "Correct or remove it."
        ) from exc


def _address(value: Any, default_port: int | None) -> Any:
    """Return an address in its normal form; an invalid one is reported when it is used."""
    try:
        return server_address(value, default_port) if isinstance(value, str) else value
    except ValueError:
        return value


def key_variable(provider: str) -> str:
    """Return the environment variable with the API key of a provider."""
    return f"ALLMA_{provider.upper()}{_KEY}"


def key_in_environment(provider: str) -> str | None:
    """Return the API key of a provider from the environment; it is never a setting."""
    return os.environ.get(key_variable(provider), "").strip() or None  # noqa: TID251


def _environment() -> dict[str, str]:
    env = os.environ  # noqa: TID251
    found = {
        name.removeprefix("ALLMA_").lower(): value
        for name, value in env.items()
        # Shells and containers unset a variable by setting it to nothing.
        if name.startswith("ALLMA_") and name != "ALLMA_CONFIG" and not name.endswith(_KEY)
        if value.strip()
    }
    if "ollama_url" not in found and (url := _ollama_host(env.get("OLLAMA_HOST", ""))):
        found["ollama_url"] = url
    return found


def _ollama_host(value: str) -> str | None:
    """Return the address in Ollama's own variable."""
    try:
        return server_address(value, OLLAMA_PORT)
    except ValueError as exc:
        raise InvalidArgument(
            f"OLLAMA_HOST in the environment is not the address of a server: {exc}.",
            "It looks like 127.0.0.1:11434 or https://host; the setting ollama_url overrides it.",
        ) from exc


def child_environment() -> dict[str, str]:
    """Return the few variables that a worker process needs, without the user's others.

    Chroma reads variables without a prefix, so an unrelated one could redirect it.
    """
    kept = ("PATH", "HOME", "USERPROFILE", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251
