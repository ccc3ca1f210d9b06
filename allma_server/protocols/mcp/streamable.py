"""MCP over streamable HTTP, both eras: an application for a server that knows its clients.

Each session of the handshake era has its own `Session`; requests of the modern era, which has no
sessions, share one for each credential. The library binds a session to its credential; both end
when the credential is revoked.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from allma_server._internal.tasks import background_tasks
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp.connection import Context
from allma_server.protocols.mcp.server import make_server
from allma_server.protocols.mcp.session import Session, make_session
from allma_server.types import Credential

Handle = Callable[[Any, Any, Any, Credential], Any]
"""Serves a request: its ASGI scope, receive and send, and the client's credential."""

MAX_SESSIONS = 1000
"""Sessions that are kept; one that was dropped begins anew with its next request."""

_CREDENTIAL = "allma.credential"


@asynccontextmanager
async def streamable_mcp(
    engine: EngineProvider, hosts: Sequence[str], origins: Sequence[str]
) -> AsyncGenerator[Handle]:
    """Open MCP for HTTP clients, until the block ends.

    Args:
        engine: opened by the first request that needs it.
        hosts: names of the server, without ports.
        origins: web pages that may send requests.
    """
    async with background_tasks() as background:
        sessions = _Sessions(engine, background)
        own = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
        manager = StreamableHTTPSessionManager(
            make_server(sessions.of),
            security_settings=TransportSecuritySettings(
                allowed_hosts=_with_ports(hosts), allowed_origins=[*_with_ports(own), *origins]
            ),
            max_sessions=MAX_SESSIONS,
        )

        async def handle(scope: Any, receive: Any, send: Any, credential: Credential) -> None:
            scope[_CREDENTIAL] = credential
            # What the library compares when a session is used again.
            token = AccessToken(token="", client_id=str(credential.id), scopes=[])
            scope["user"] = AuthenticatedUser(token)
            await manager.handle_request(scope, receive, send)

        async def delete(credential: Credential, session_id: str) -> None:
            await handle(_deletion(hosts[0], session_id), _nothing, _ignored, credential)

        sessions.delete = delete
        try:
            async with manager.run():
                yield handle
        finally:
            await sessions.close()


def _deletion(host: str, session_id: str) -> dict[str, Any]:
    """Return the scope of the request by which a client ends its session."""
    headers = [(b"host", host.encode()), (b"mcp-session-id", session_id.encode())]
    return {"type": "http", "method": "DELETE", "path": "/mcp", "headers": headers}


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ignored(message: Any) -> None: ...


def _with_ports(names: Sequence[str]) -> list[str]:
    return [each for name in names for each in (name, f"{name}:*")]


class _Sessions:
    """The sessions of all clients."""

    def __init__(self, engine: EngineProvider, background: asyncio.TaskGroup) -> None:
        self._engine = engine
        self._background = background
        self._sessions: dict[tuple[int, str], Session] = {}
        self._known: set[int] = set()
        self.delete: Callable[[Credential, str], Awaitable[None]]

    async def of(self, context: Context) -> Session:
        """Return the session of a request, made with its first one."""
        assert context.request is not None
        credential: Credential = context.request.scope[_CREDENTIAL]
        key = credential.id, context.request.headers.get("mcp-session-id", "")
        if credential.id not in self._known:
            self._known.add(credential.id)
            uses = (await self._engine()).credential_uses
            uses.add(credential.id, lambda: self._background.create_task(self._end(credential)))
        session = self._sessions.pop(key, None)
        if session is None:
            client = ClientContext(credential.principal)
            session = make_session(self._engine, self._background, client)
        self._sessions[key] = session  # the one used last stays longest
        if len(self._sessions) > MAX_SESSIONS:
            await self._sessions.pop(next(iter(self._sessions))).close()
        return session

    async def _end(self, credential: Credential) -> None:
        """End the sessions of a credential that was revoked, with their running calls."""
        for key in [each for each in self._sessions if each[0] == credential.id]:
            await self._sessions.pop(key).close()
            if key[1]:
                await self.delete(credential, key[1])

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
