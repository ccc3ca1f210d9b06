"""Everything Allma can be asked for: the list that every door, the CLI and the reference read."""

from allma_server.operations.ask import ask
from allma_server.operations.call import Call, NullProgress, Operation, jsonable
from allma_server.operations.conversations import (
    delete_conversation,
    export_conversation,
    list_conversations,
    rename_conversation,
    show_conversation,
)
from allma_server.operations.documents import documents
from allma_server.operations.evaluate import evaluate
from allma_server.operations.explain import explain
from allma_server.operations.export import export
from allma_server.operations.forget import forget
from allma_server.operations.ingest import ingest, sync
from allma_server.operations.models import (
    delete_model,
    list_models,
    pull_model,
    show_model,
    use_model,
)
from allma_server.operations.read import read
from allma_server.operations.search import search
from allma_server.operations.status import cancel_job, doctor, repair, status

OPERATIONS = (
    Operation("search", search),
    Operation("explain", explain),
    Operation("eval", evaluate),
    Operation("ask", ask, writes=True),
    Operation("read", read),
    Operation("ingest", ingest, writes=True),
    Operation("sync", sync, writes=True),
    Operation("forget", forget, writes=True, destroys=True, rebuildable=True),
    Operation("documents", documents),
    Operation("conversations.list", list_conversations),
    Operation("conversations.show", show_conversation),
    Operation("conversations.rename", rename_conversation, writes=True),
    Operation("conversations.delete", delete_conversation, writes=True, destroys=True),
    Operation("conversations.export", export_conversation),
    Operation("models.list", list_models),
    Operation("models.show", show_model),
    Operation("models.use", use_model, writes=True),
    Operation("models.pull", pull_model, writes=True),
    Operation("models.delete", delete_model, writes=True, destroys=True),
    Operation("status", status),
    Operation("jobs.cancel", cancel_job, writes=True),
    Operation("doctor", doctor),
    Operation("repair", repair, writes=True),
    Operation("export", export),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}

__all__ = ["BY_NAME", "OPERATIONS", "Call", "Operation", "NullProgress", "jsonable"]
