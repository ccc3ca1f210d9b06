"""The OpenAPI document, made from the operations: their arguments, results and descriptions."""

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from allma_server import __version__
from allma_server.operations import OPERATIONS, Operation
from allma_server.types import Right

_SCHEMA = "#/components/schemas/{model}"

Schema = Mapping[str, Any]

_ERROR: Schema = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "A stable word for programs."},
        "message": {"type": "string", "description": "What happened, as a sentence."},
        "hint": {"type": ["string", "null"], "description": "The next step."},
    },
}


@cache
def openapi() -> Schema:
    """Return the document: all operations but those of the engine's owner, who has no token."""
    operations = [each for each in OPERATIONS if each.needs is not Right.OWNER]
    inputs: list[tuple[Any, JsonSchemaMode]] = [
        (each.arguments, "validation") for each in operations
    ]
    arguments, found = models_json_schema(inputs, by_alias=False, ref_template=_SCHEMA)
    results, defined = TypeAdapter.json_schemas(
        [(each.name, "serialization", _result(each)) for each in operations],
        ref_template=_SCHEMA,
    )
    paths = {
        f"/api/{each.name}": {
            "post": _described(
                each,
                arguments[each.arguments, "validation"],
                results[each.name, "serialization"],
            )
        }
        for each in operations
    }
    schemas = {**found.get("$defs", {}), **defined.get("$defs", {})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Allma", "version": __version__},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _result(operation: Operation) -> TypeAdapter[Any]:
    return TypeAdapter(inspect.signature(operation.run, eval_str=True).return_annotation)


def _described(operation: Operation, arguments: Schema, result: Schema) -> Schema:
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": inspect.getdoc(operation.run) or "",
        "parameters": list(_PARAMETERS),
        "requestBody": {"required": True, "content": _json(arguments)},
        "responses": {
            "200": {
                "description": "The result; as events if text/event-stream is accepted.",
                "content": {**_json(result), "text/event-stream": {"schema": {"type": "string"}}},
            },
            "default": {"description": "Why there is no result.", "content": _json(_ERROR)},
        },
    }


def _json(schema: Schema) -> dict[str, object]:
    return {"application/json": {"schema": schema}}


_PARAMETERS: Iterable[Schema] = (
    {
        "name": "names",
        "in": "query",
        "description": "camel: fields have camelCase names.",
        "schema": {"type": "string", "enum": ["camel"]},
    },
    {
        "name": "call",
        "in": "query",
        "description": "A name by which /api/cancel can stop this call.",
        "schema": {"type": "string"},
    },
)
