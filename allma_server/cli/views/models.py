"""Chat models."""

from rich.filesize import decimal

from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, Views
from allma_server.types import ModelInfo, ModelList


def _models(result: ModelList, page: Page) -> View:
    rows = [
        (Text("●" if m.in_use else " ", "green"), Text(m.name, "bold"), _size(m), _traits(m))
        for m in result.models
    ]
    yield from page.columns(rows)


def _size(model: ModelInfo) -> str:
    return decimal(model.size).rjust(8) if model.size is not None else ""


def _traits(model: ModelInfo) -> Text:
    context = f"{model.context_length:,} tokens" if model.context_length else None
    traits = [model.parameters, model.quantization, context, ", ".join(model.capabilities)]
    return Text(" · ".join(filter(None, traits)), "dim")


def _model(result: ModelInfo, page: Page) -> View:
    context = f"{result.context_length:,} tokens" if result.context_length else None
    yield from page.facts(
        ("name", Text(result.name, "bold")),
        ("size", decimal(result.size) if result.size is not None else None),
        ("parameters", result.parameters),
        ("quantization", result.quantization),
        ("context", context),
        ("can", ", ".join(result.capabilities) or None),
        ("modified", result.modified_at and result.modified_at[:10]),
    )


VIEWS: Views = {
    "ModelList": _models,
    "ModelInfo": _model,
}
