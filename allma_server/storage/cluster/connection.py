"""The connection to a cluster: calls go to the first node that answers."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from allma_server._internal.imports import imported
from allma_server.errors import OtherVectors, VectorStoreDown
from allma_server.storage.cluster.addresses import Address, addresses
from allma_server.storage.cluster.failures import Refused, failure_of, raised
from allma_server.storage.vectors.config import ReadKey

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
"""For the first answer of a node."""

CALL_SECONDS = 30
"""For each request; a call of several may take longer."""

FIRST_SHARE = 2 / 3
"""Of the time of a call, what a node gets that has connected, while there are others."""

T = TypeVar("T")


class Cluster:
    """Calls a cluster at the first of its addresses that answers.

    A call that fails at one node is repeated at the next, so every call must be repeatable.
    """

    def __init__(self, url: str | None, api_key: ReadKey | None) -> None:
        self._url = url
        self._api_key = api_key
        self._connecting = asyncio.Lock()
        self._client: WeaviateAsyncClient | None = None
        self._node = 0

    async def call(
        self, work: Callable[["WeaviateAsyncClient"], Awaitable[T]], *, limit: float
    ) -> T:
        """Return what `work` returns within `limit` seconds, of which each node gets its share.

        Raises:
            VectorStoreDown: no node answers, or they refuse.
        """
        await _import_client()
        nodes = self._nodes()
        until = time.monotonic() + limit
        for left in reversed(range(len(nodes))):
            number = self._node % len(nodes)
            client = None
            share = (until - time.monotonic()) / (left + 1)
            try:
                # The client itself waits for a dead node to come back.
                async with asyncio.timeout(share):
                    client = await self._connected(nodes[number])
                # One that answers gets more, because it hardly ever stops.
                share = _first_part(until - time.monotonic(), left)
                async with asyncio.timeout(share):
                    with cancellation_of_calls():
                        return await work(client)
            except raised() as exc:
                failure = failure_of(exc, nodes[number], share)
                await self._leave(client, number)
                if failure.refused or not left:
                    kind = OtherVectors if failure.other_vectors else VectorStoreDown
                    raise kind(failure.message, failure.hint) from exc
                log.info("asking the next node: %s", failure.message)
        raise AssertionError("there is at least one node")

    def first_part(self, limit: float) -> float:
        """Return how many seconds of a limit the first node has, if it is connected."""
        return _first_part(limit, len(self._nodes()) - 1)

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        async with self._connecting:
            await self._close()

    def _nodes(self) -> list[Address]:
        try:
            nodes = addresses(self._url or "")
        except ValueError as exc:
            raise VectorStoreDown(
                f"vector_store_url is not the address of a cluster: {exc}.",
                "It looks like http://host:8080.",
            ) from exc
        if not nodes:
            raise VectorStoreDown(
                "There is no address of a cluster.",
                "`allma config set vector_store_url http://host:8080` sets it.",
            )
        return nodes

    async def _connected(self, node: Address) -> "WeaviateAsyncClient":
        async with self._connecting:
            if self._client is None:
                client = _client(node, await self._api_key() if self._api_key else None)
                try:
                    await client.connect()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client

    async def _leave(self, client: "WeaviateAsyncClient | None", number: int) -> None:
        """Let the next call begin at another node, unless one has moved on already."""
        async with self._connecting:
            if client is self._client:
                self._node = number + 1
                await self._close()

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _first_part(limit: float, others: int) -> float:
    return limit * FIRST_SHARE if others else limit


@contextlib.contextmanager
def cancellation_of_calls() -> Generator[None]:
    """Raise Refused where gRPC cancels a call because another one has closed the connection.

    It raises what cancels a task, which would end the caller's.
    """
    try:
        yield
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Refused("the connection was closed") from exc


async def _import_client() -> None:
    try:
        await imported("weaviate")
        _keep_poller()
    except ImportError as exc:
        raise VectorStoreDown(
            f"The client of the cluster is not installed ({exc}).",
            "Install Allma with the extra `weaviate`: pip install 'allma-server[weaviate]'.",
        ) from exc


@cache
def _keep_poller() -> None:
    """Keep gRPC's thread for as long as the process: to end it would block the event loop."""
    import grpc.aio

    aio: Any = grpc.aio  # its types do not name all that it exports
    aio.init_grpc_aio()


def _client(node: Address, key: str | None) -> "WeaviateAsyncClient":
    import weaviate
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout

    seconds = Timeout(init=CONNECT_SECONDS, query=CALL_SECONDS, insert=CALL_SECONDS)
    return weaviate.use_async_with_custom(
        http_host=node.host,
        http_port=node.port,
        http_secure=node.secure,
        grpc_host=node.host,
        grpc_port=node.grpc_port,
        grpc_secure=node.secure,
        auth_credentials=Auth.api_key(key) if key else None,
        # No proxies of the environment.
        additional_config=AdditionalConfig(timeout=seconds, trust_env=False),
        # Its checks include a look at PyPI for a newer version.
        skip_init_checks=True,
    )
