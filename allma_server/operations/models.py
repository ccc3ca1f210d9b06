"""Chat models."""

from typing import Annotated

from pydantic import Field

from allma_server.answering.models import model_in_use, select_model
from allma_server.operations.call import Call
from allma_server.operations.text import render
from allma_server.types import Done, ModelInfo, ModelList

ModelName = Annotated[str, Field(description="A model's name, such as llama3.2:3b.")]


async def list_models(call: Call) -> ModelList:
    """List the installed models."""
    engine = call.engine
    models = await engine.chat.list()
    asked = call.defaults.get("model")
    in_use = await model_in_use(asked, engine.config, engine.catalog, engine.chat)
    marked = [
        ModelInfo(
            m.name,
            m.size,
            m.parameters,
            m.quantization,
            m.context_length,
            m.capabilities,
            m.modified_at,
            in_use=m.name == in_use,
        )
        for m in models
    ]
    return ModelList(marked, in_use, engine.config.chat_provider)


async def show_model(call: Call, name: ModelName) -> ModelInfo:
    """Show size, context and capabilities."""
    return await call.engine.chat.show(name)


async def use_model(call: Call, name: ModelName) -> Done:
    """Choose the model that answers."""
    engine = call.engine
    chosen = await select_model(name, engine.catalog, engine.chat)
    return Done(f"{chosen} now writes the answers.")


async def pull_model(call: Call, name: ModelName) -> Done:
    """Download a model."""
    async for step in call.engine.chat.pull(name):
        await call.progress.report(step.completed or 0, step.total, step.status)
    return Done(f"Installed {name}.")


async def delete_model(call: Call, name: ModelName) -> Done:
    """Delete a model from disk."""
    await call.engine.chat.delete(name)
    return Done(f"Deleted {name}.")


@render.register
def _models_text(result: ModelList) -> str:
    lines = [_model(model) for model in result.models]
    return "\n".join([f"{len(lines)} models at {result.provider}.", *lines])


@render.register
def _model_text(result: ModelInfo) -> str:
    lines = [_model(result)]
    if result.capabilities:
        lines.append(f"Capabilities: {', '.join(result.capabilities)}.")
    return "\n".join(lines)


def _model(model: ModelInfo) -> str:
    size = f"{model.size / 1e9:.1f} GB" if model.size else None
    context = f"context {model.context_length}" if model.context_length else None
    facts = [f for f in (model.parameters, model.quantization, size, context) if f]
    if model.in_use:
        facts.append("in use")
    return f"{model.name} ({', '.join(facts)})" if facts else model.name
