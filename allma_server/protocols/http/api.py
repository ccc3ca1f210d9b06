"""Operations as `POST /api/NAME`: arguments as a JSON object, the result as JSON or as events.

A client that accepts `text/event-stream` gets events. `?names=camel` gives fields the names of LSP.
`?call=ID` names the call, so that `POST /api/cancel` can stop it. A client that leaves ends a call
that only reads; one that writes, such as an answer, is completed and stored.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from allma_server.errors import AllmaError, InvalidArgument, as_dict
from allma_server.operations import BY_NAME, Call, NullProgress, Operation, jsonable
from allma_server.operations.upload import UPLOAD
from allma_server.ports import Progress
from allma_server.protocols.deadline import StillRunning, run_with_deadline
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.http.access import visitor
from allma_server.protocols.http.events import Events
from allma_server.protocols.http.refusals import UNEXPECTED, failure, refusal, unexpected

JOB_SECONDS = 25.0
"""Seconds after which indexing returns its job."""

RESULT_SECONDS = 300.0
"""Seconds for a result that is not streamed."""

_STREAM = "text/event-stream"

_log = logging.getLogger(__name__)


class Api:
    """Runs operations for HTTP clients."""

    def __init__(self, engine: EngineProvider, stopping: asyncio.Event) -> None:
        self._engine = engine
        self._stopping = stopping
        self._calls: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self, request: Request) -> Response:
        """Run an operation."""
        operation = BY_NAME.get(request.path_params["operation"])
        if operation is None:
            return refusal(
                404, "not_found", "There is no such operation.", "See /api/openapi.json."
            )
        return await self._answered(request, operation, _arguments)

    async def upload(self, request: Request) -> Response:
        """Store the body as a file: `?workspace=FOLDER&name=NAME`."""
        return await self._answered(request, UPLOAD, _file)

    async def _answered(
        self,
        request: Request,
        operation: Operation,
        read: Callable[[Request], Awaitable[Mapping[str, Any]]],
    ) -> Response:
        try:
            arguments = await read(request)
            if _STREAM in request.headers.get("accept", ""):
                return await self._streamed(request, operation, arguments)
            call = await self._call(request, NullProgress())
            result = await run_with_deadline(RESULT_SECONDS, operation, call, arguments)
            return JSONResponse(jsonable(result, camel=_camel(request)))
        except StillRunning:
            return refusal(
                202, "still_running", f"{operation.name} continues.", "Ask for its result later."
            )
        except AllmaError as error:
            return failure(error)
        except Exception:
            _log.exception("unexpected error in %s", operation.name)
            return unexpected()

    async def cancel(self, request: Request) -> Response:
        """Stop a call that the same client has named."""
        try:
            name = (await _arguments(request)).get("call")
        except AllmaError as error:
            return failure(error)
        task = self._calls.get((visitor(request.scope).key, str(name)))
        return JSONResponse({"cancelled": task is not None and task.cancel()})

    async def me(self, request: Request) -> Response:
        """Return who sends this request, and what they may do."""
        principal = visitor(request.scope).credential.principal
        return JSONResponse(
            {
                "name": principal.name,
                "rights": sorted(principal.rights),
                "workspaces": principal.workspaces,
            }
        )

    async def _call(self, request: Request, progress: Progress) -> Call:
        principal = visitor(request.scope).credential.principal
        return Call(await self._engine(), principal, progress, deadline=JOB_SECONDS)

    async def _streamed(
        self, request: Request, operation: Operation, arguments: Mapping[str, Any]
    ) -> Response:
        events = Events(camel=_camel(request))
        call = await self._call(request, events)
        # Refused before the stream begins, so that the status says it.
        operation.authorize(call.principal)
        work = call.engine.tasks.create_task(_reported(operation, call, arguments, events))
        if name := request.query_params.get("call"):
            key = visitor(request.scope).key, name
            self._calls[key] = work
            work.add_done_callback(lambda _: self._calls.pop(key, None))
        id = visitor(request.scope).credential.id
        remove = call.engine.credential_uses.add(id, work.cancel)
        work.add_done_callback(lambda _: remove())
        stopped = call.engine.tasks.create_task(self._end_when_stopping(work, events))
        work.add_done_callback(lambda _: stopped.cancel())

        async def stream() -> AsyncGenerator[str]:
            try:
                async for event in events.stream():
                    yield event
            finally:
                if not operation.writes:
                    work.cancel()

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(), media_type=_STREAM, headers=headers)

    async def _end_when_stopping(self, work: "asyncio.Task[None]", events: Events) -> None:
        with suppress(asyncio.CancelledError):
            await self._stopping.wait()
            events.failed(
                {
                    "code": "server_stopping",
                    "message": "The server stops; an answer is completed in its conversation.",
                    "hint": "Read the conversation in a moment.",
                }
            )


async def _reported(
    operation: Operation, call: Call, arguments: Mapping[str, Any], events: Events
) -> None:
    """Run an operation and report its end; it raises nothing, because the engine owns the task."""
    try:
        events.done(await operation(call, arguments))
    except asyncio.CancelledError:
        events.failed({"code": "cancelled", "message": "The call was stopped.", "hint": None})
        raise
    except AllmaError as error:
        events.failed({**as_dict(error)})
    except Exception:
        _log.exception("unexpected error in %s", operation.name)
        events.failed(UNEXPECTED)


def _camel(request: Request) -> bool:
    return request.query_params.get("names") == "camel"


async def _arguments(request: Request) -> dict[str, Any]:
    """Return the arguments in the body of a request.

    Raises:
        InvalidArgument: it is not a JSON object, or not declared as JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InvalidArgument("The Content-Type must be application/json.")
    try:
        parsed: object = json.loads(await request.body() or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError) as exc:
        raise InvalidArgument("The body is not JSON.", "Send the arguments as an object.") from exc
    if not isinstance(parsed, dict):
        raise InvalidArgument("The body must be a JSON object.")
    return cast(dict[str, Any], parsed)


async def _file(request: Request) -> dict[str, Any]:
    """Return the arguments of an upload: the query, and the body as it is."""
    if request.headers.get("content-type") != "application/octet-stream":
        raise InvalidArgument("The Content-Type must be application/octet-stream.")
    query = request.query_params
    given = {name: query[name] for name in ("workspace", "name") if name in query}
    return {**given, "content": await request.body()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
