"""Chat models."""

from typing import Annotated

from pydantic import Field

from allma_server.answering.models import model_in_use, select_model
from allma_server.operations.call import Call
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
