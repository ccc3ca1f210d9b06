"""Unusual arguments cause expected errors only."""

from typing import Any

import pytest

from allma_server.engine import Engine
from allma_server.errors import AllmaError, NotFound
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.uris import content
from allma_server.types import LOCAL


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *[("read", {"source": source}) for source in ("²", "9" * 5000, "1" * 23, "\0", "\ud800")],
        ("read", {"source": "allma://document/²"}),
        ("read", {"source": "allma://document/" + "9" * 30}),
        ("read", {"source": "file:///%00"}),
        ("search", {"query": "\0"}),
        ("search", {"query": "\ud800"}),
        ("search", {"query": "x", "path": "{a,b}" * 7}),
        ("search", {"query": "x", "path": "[z-a]"}),
        ("search", {"query": "x", "workspace": "/a\0"}),
        ("ask", {"question": "x", "conversation_id": "\ud800"}),
        ("conversations.show", {"id": "\0"}),
        ("conversations.rename", {"id": "x", "title": "\ud800"}),
        ("status", {"job_id": "\ud800"}),
        ("ingest", {"paths": ["/\0"]}),
        ("forget", {"path": "/\ud800"}),
        ("export", {"path": "/\0"}),
        ("models.use", {"name": "\ud800"}),
    ],
)
async def test_an_unusual_argument_is_an_expected_error(
    engine: Engine, name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(AllmaError):
        await BY_NAME[name](Call(engine, LOCAL, folders=("/tmp",)), arguments)


@pytest.mark.parametrize(
    "uri",
    ["allma://document/²", "allma://[::1", "allma://conversation/\ud800", "allma://answer/%00"],
)
async def test_an_unusual_uri_is_not_found(engine: Engine, uri: str) -> None:
    with pytest.raises(NotFound):
        await content(Call(engine, LOCAL), uri)
