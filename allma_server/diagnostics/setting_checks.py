"""Check whether a setting can work, beyond its type."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from allma_server._internal.addresses import server_address, without_password
from allma_server._internal.private import make_private_folder
from allma_server.answering.models import AUTO, can_chat, find_model
from allma_server.config import Config
from allma_server.documents.ocr.client import check_recogniser
from allma_server.engine import DATABASE
from allma_server.errors import InvalidArgument, ModelUnsuitable, ProviderError
from allma_server.providers.chat import open_chat_models
from allma_server.providers.embedding import EMBEDDERS, open_embedder
from allma_server.providers.reranking import open_reranker
from allma_server.providers.reranking.cross_encoder import find_files
from allma_server.storage.vectors.stores import check_store_name
from allma_server.types import ChatMessage

CONNECT_SECONDS = 3.0


async def check_setting(key: str, config: Config) -> str | None:
    """Return why a setting's value does not work now, such as a server that is down; else None.

    Raises:
        InvalidArgument: it can never work.
    """
    check = CHECKS.get(key)
    return await check(config) if check else None


async def _chat_model(config: Config) -> str | None:
    name = config.chat_model
    if name == AUTO:
        return None
    async with open_chat_models(config) as chat:
        try:
            model = find_model(name, await chat.list())
        except ProviderError as exc:
            return f"Cannot tell whether {name} is installed: {exc}"
    if model is None:
        return f"{name} is not installed. `allma models pull {name}` installs it."
    if not can_chat(model):
        raise InvalidArgument(f"{name} cannot chat.", "Choose another model.")
    return None


async def _embedder(config: Config) -> str | None:
    if config.embedder == AUTO:
        return None
    provider, _, model = config.embedder.partition("/")
    known = provider in EMBEDDERS and bool(model)
    try:
        async with open_embedder(config.embedder, config) as embedder:
            await embedder.embed_query("Does the embedder work?")
    except ModelUnsuitable as exc:
        raise InvalidArgument(exc.message, exc.hint) from exc
    except InvalidArgument as exc:
        if not known or provider == "onnx":
            raise
        return str(exc)  # a later version may have this model
    except ProviderError as exc:
        return str(exc)
    return None


async def _ocr(config: Config) -> str | None:
    return check_recogniser(config.ocr)


def _provider(provider: str, key: str) -> Callable[[Config], Awaitable[str | None]]:
    """Return the check of a model server's address, or of the provider in use."""

    async def check(config: Config) -> str | None:
        name = provider or config.chat_provider
        if getattr(config, key) is None:
            return None
        _check_address(getattr(config, key))
        async with open_chat_models(config.model_copy(update={"chat_provider": name})) as chat:
            try:
                await chat.version()
            except ProviderError as exc:
                return str(exc)
        return None

    return check


def _check_address(url: str) -> None:
    """Raise InvalidArgument unless `url` is the address of a server."""
    try:
        server_address(url)
    except ValueError as exc:
        raise InvalidArgument(
            f"{without_password(url)!r} is not the address of a server: {exc}.",
            "It looks like http://host:port.",
        ) from exc


async def _data_dir(config: Config) -> str | None:
    path = config.data_dir
    why = await asyncio.to_thread(_why_unusable, path)
    if why is not None:
        raise InvalidArgument(
            f"{path} cannot be the data directory: {why}.",
            "Choose a folder on a local disk that you can write to.",
        )
    return None


def _why_unusable(path: Path) -> str | None:
    """Return why a folder cannot be made or written to; what is made is removed again.

    One that has an index is usable, because it can be searched even if it cannot be written to.
    """
    if (path / DATABASE).exists():
        return None
    made = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        make_private_folder(path)
        with tempfile.TemporaryFile(dir=path):
            return None
    except OSError as exc:
        return exc.strerror or str(exc)
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


async def _vector_store(config: Config) -> str | None:
    check_store_name(config.vector_store)
    if config.vector_store == "weaviate" and config.vector_store_url is None:
        return "vector_store_url does not say yet where its server is."
    return None


def _vector_server(key: str) -> Callable[[Config], Awaitable[str | None]]:
    """Return the check of a vector store server's address."""

    async def check(config: Config) -> str | None:
        written: str | None = getattr(config, key)
        urls = written.split(",") if written else []
        silent = [url for url in urls if not await _answers(url)]
        return f"Nothing answers at {' or '.join(silent)}." if silent else None

    return check


async def _answers(url: str) -> bool:
    _check_address(url)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _reranker(config: Config) -> str | None:
    async with open_reranker(config.reranker, _no_reply):
        pass
    provider, _, path = config.reranker.partition("/")
    if provider == "onnx":
        try:
            await asyncio.to_thread(find_files, Path(path))
        except ProviderError as exc:
            return exc.message
    return None


async def _no_reply(model: str | None, messages: Sequence[ChatMessage], max_tokens: int) -> str:
    return ""


CHECKS: Mapping[str, Callable[[Config], Awaitable[str | None]]] = {
    "data_dir": _data_dir,
    "ocr": _ocr,
    "chat_provider": _provider("", "chat_provider"),
    "chat_model": _chat_model,
    "embedder": _embedder,
    "reranker": _reranker,
    "ollama_url": _provider("ollama", "ollama_url"),
    "openai_url": _provider("openai", "openai_url"),
    "vector_store": _vector_store,
    "vector_store_url": _vector_server("vector_store_url"),
    "shared_url": _vector_server("shared_url"),
    "chroma_url": _vector_server("chroma_url"),
}
