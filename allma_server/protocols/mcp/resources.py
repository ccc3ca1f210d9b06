"""Resources: documents and conversations, and notifications when they change."""

import asyncio
import contextlib
import logging
from collections import Counter

import mcp_types as types
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
)

from allma_server._internal.path_text import readable
from allma_server.errors import AllmaError, NotFound
from allma_server.operations import BY_NAME
from allma_server.protocols.mcp.connection import Connection, Context, with_faults
from allma_server.protocols.uris import authorize, content
from allma_server.types import is_text, row_id

STATUS = "allma://status"

_log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""Seconds between two checks of the subscribed resources; each reads one row."""


class Resources:
    """The resources of one client, with its subscriptions of both eras."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._subscribed: dict[str, ServerSession] = {}
        self._listened: Counter[str] = Counter()
        self._versions: dict[str, str] = {}
        self._polling = False

    @with_faults
    async def list(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        cursor = params.cursor if params else None
        page = await BY_NAME["documents"](
            await self._connection.call(context), {"state": "indexed", "cursor": cursor}
        )
        resources = [
            types.Resource(
                name=readable(d.path), title=d.title or None, uri=f"allma://document/{d.id}"
            )
            for d in page.documents
        ]
        if cursor is None:
            status = types.Resource(name="status", uri=STATUS, mime_type="application/json")
            resources.insert(0, status)
        return types.ListResourcesResult(resources=resources, next_cursor=page.next_cursor)

    async def templates(
        self, context: Context, params: object
    ) -> types.ListResourceTemplatesResult:
        document = types.ResourceTemplate(
            name="document",
            uri_template="allma://document/{id}",
            description="The text of an indexed document.",
            mime_type="text/plain",
        )
        conversation = types.ResourceTemplate(
            name="conversation",
            uri_template="allma://conversation/{id}",
            description="A conversation with its sources.",
            mime_type="text/markdown",
        )
        return types.ListResourceTemplatesResult(resource_templates=[document, conversation])

    @with_faults
    async def read(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        found = await content(await self._connection.call(context), uri)
        whole = types.TextResourceContents(uri=uri, mime_type=found.media_type, text=found.text)
        return types.ReadResourceResult(contents=[whole])

    @with_faults
    async def subscribe(
        self, context: Context, params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        uri = str(params.uri)
        self._authorize(uri)
        self._subscribed[uri] = context.session
        self._poll()
        return types.EmptyResult()

    async def unsubscribe(
        self, context: Context, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        self._subscribed.pop(str(params.uri), None)
        return types.EmptyResult()

    @with_faults
    async def listen(
        self, context: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        uris = Counter(map(str, params.notifications.resource_subscriptions or []))
        for uri in uris:
            self._authorize(uri)
        self._listened += uris
        self._poll()
        try:
            return await self._listen(context, params)
        finally:
            self._listened -= uris

    def _authorize(self, uri: str) -> None:
        """Refuse a subscription to what the principal may not read.

        A URI that is not Allma's is accepted: clients subscribe before a resource exists.
        """
        with contextlib.suppress(NotFound):
            authorize(self._connection.principal, uri)

    async def changed(self) -> None:
        """Notify subscribers that the list and the status may have changed."""
        await self._bus.publish(ResourcesListChanged())
        await self._notify(STATUS)

    async def _notify(self, uri: str) -> None:
        if (session := self._subscribed.get(uri)) is not None:
            await session.send_resource_updated(uri)
        await self._bus.publish(ResourceUpdated(uri))

    def _poll(self) -> None:
        if not self._polling:
            self._polling = True
            self._connection.start(self._watch())

    async def _watch(self) -> None:
        """Check for changes by other clients while there are subscriptions."""
        try:
            while watched := {*self._subscribed, *self._listened}:
                for uri in watched:
                    version = await self._version(uri)
                    if self._versions.setdefault(uri, version) != version:
                        self._versions[uri] = version
                        await self._notify(uri)
                await asyncio.sleep(POLL_SECONDS)
        except AllmaError as exc:
            _log.warning("cannot check subscribed resources for changes: %s", exc)
        finally:
            self._polling = False

    async def _version(self, uri: str) -> str:
        engine = await self._connection.engine()
        catalog = engine.seen_by(self._connection.principal).catalog
        kind, _, id = uri.removeprefix("allma://").partition("/")
        try:
            if not is_text(id):
                return ""
            if kind == "document" and (number := row_id(id)) is not None:
                document = await catalog.document_by_id(number)
                return document.content_hash if document else ""
            return (await catalog.conversation(id)).updated_at if kind == "conversation" else ""
        except NotFound:
            return ""
