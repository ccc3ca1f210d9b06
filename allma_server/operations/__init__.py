"""Everything Allma does: the list that every protocol, the CLI and the reference read."""

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
from allma_server.types import Right

OPERATIONS = (
    Operation("search", search, Right.SEARCH),
    Operation("explain", explain, Right.SEARCH),
    Operation("eval", evaluate, Right.ADMIN),
    Operation("ask", ask, Right.ASK, writes=True),
    Operation("read", read, Right.READ),
    Operation("ingest", ingest, Right.INDEX, writes=True),
    Operation("sync", sync, Right.INDEX, writes=True),
    Operation("forget", forget, Right.REMOVE, writes=True, destroys=True, rebuildable=True),
    Operation("documents", documents, Right.READ),
    Operation("conversations.list", list_conversations, Right.CONVERSATIONS),
    Operation("conversations.show", show_conversation, Right.CONVERSATIONS),
    Operation("conversations.rename", rename_conversation, Right.CONVERSATIONS, writes=True),
    Operation(
        "conversations.delete", delete_conversation, Right.CONVERSATIONS, writes=True, destroys=True
    ),
    Operation("conversations.export", export_conversation, Right.CONVERSATIONS),
    Operation("models.list", list_models, Right.READ),
    Operation("models.show", show_model, Right.READ),
    Operation("models.use", use_model, Right.ADMIN, writes=True),
    Operation("models.pull", pull_model, Right.ADMIN, writes=True),
    Operation("models.delete", delete_model, Right.ADMIN, writes=True, destroys=True),
    Operation("status", status, Right.READ),
    Operation("jobs.cancel", cancel_job, Right.INDEX, writes=True),
    Operation("doctor", doctor, Right.ADMIN),
    Operation("repair", repair, Right.ADMIN, writes=True),
    Operation("export", export, Right.ADMIN),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}

__all__ = ["BY_NAME", "OPERATIONS", "Call", "Operation", "NullProgress", "jsonable"]
