"""Resources: documents and conversations to attach, and word when they may have changed."""

import mcp_types as types
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ResourcesListChanged,
    ResourceUpdated,
)

from allma_server.doors.content import content
from allma_server.doors.mcp.client import Client, Context, answered
from allma_server.operations import BY_NAME

STATUS = "allma://status"


class Resources:
    """What one client may look at. `bus`: word of changes for its `subscriptions/listen`."""

    def __init__(self, client: Client) -> None:
        self.bus = InMemorySubscriptionBus()
        self._client = client
        self._subscribed: dict[str, ServerSession] = {}

    @answered
    async def list(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        cursor = params.cursor if params else None
        page = await BY_NAME["documents"](
            await self._client.call(context), {"state": "indexed", "cursor": cursor}
        )
        resources = [
            types.Resource(name=d.path, title=d.title or None, uri=f"allma://document/{d.id}")
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

    @answered
    async def read(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        found = await content(await self._client.call(context), uri)
        whole = types.TextResourceContents(uri=uri, mime_type=found.media_type, text=found.text)
        return types.ReadResourceResult(contents=[whole])

    async def subscribe(
        self, context: Context, params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        self._subscribed[str(params.uri)] = context.session
        return types.EmptyResult()

    async def unsubscribe(
        self, context: Context, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        self._subscribed.pop(str(params.uri), None)
        return types.EmptyResult()

    async def changed(self) -> None:
        """Tells those who asked for it that what they look at may be another now."""
        for uri, session in list(self._subscribed.items()):
            await session.send_resource_updated(uri)
        await self.bus.publish(ResourcesListChanged())
        await self.bus.publish(ResourceUpdated(STATUS))
