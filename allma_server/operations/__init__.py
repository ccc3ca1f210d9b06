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
from allma_server.operations.share import list_shares, share, unshare
from allma_server.operations.status import cancel_job, doctor, repair, status
from allma_server.operations.tokens import (
    add_token,
    list_tokens,
    make_login_code,
    revoke_token,
)
from allma_server.types import Right

OPERATIONS = (
    Operation("search", search, Right.SEARCH, tool="search"),
    Operation("explain", explain, Right.SEARCH, tool="search.explain"),
    Operation("eval", evaluate, Right.ADMIN),
    Operation("ask", ask, Right.ASK, writes=True, tool="ask"),
    Operation("read", read, Right.READ, tool="read"),
    Operation("ingest", ingest, Right.INDEX, writes=True, tool="index.add"),
    Operation("sync", sync, Right.INDEX, writes=True, tool="index.sync"),
    Operation(
        "forget",
        forget,
        Right.REMOVE,
        writes=True,
        destroys=True,
        rebuildable=True,
        tool="index.remove",
    ),
    Operation("share", share, Right.ADMIN, writes=True),
    Operation("unshare", unshare, Right.ADMIN, writes=True),
    Operation("shares", list_shares, Right.READ),
    Operation("documents", documents, Right.READ, tool="documents"),
    Operation(
        "conversations.list", list_conversations, Right.CONVERSATIONS, tool="conversations.list"
    ),
    Operation(
        "conversations.show", show_conversation, Right.CONVERSATIONS, tool="conversations.show"
    ),
    Operation(
        "conversations.rename",
        rename_conversation,
        Right.CONVERSATIONS,
        writes=True,
        tool="conversations.rename",
    ),
    Operation(
        "conversations.delete",
        delete_conversation,
        Right.CONVERSATIONS,
        writes=True,
        destroys=True,
        tool="conversations.delete",
    ),
    Operation(
        "conversations.export",
        export_conversation,
        Right.CONVERSATIONS,
        tool="conversations.export",
    ),
    Operation("models.list", list_models, Right.READ, tool="models.list"),
    Operation("models.show", show_model, Right.READ, tool="models.show"),
    Operation("models.use", use_model, Right.ADMIN, writes=True, tool="models.use"),
    Operation("models.pull", pull_model, Right.ADMIN, writes=True, tool="models.pull"),
    Operation(
        "models.delete", delete_model, Right.ADMIN, writes=True, destroys=True, tool="models.delete"
    ),
    Operation("status", status, Right.READ, tool="status"),
    Operation("jobs.cancel", cancel_job, Right.INDEX, writes=True),
    Operation("doctor", doctor, Right.ADMIN),
    Operation("repair", repair, Right.ADMIN, writes=True),
    Operation("export", export, Right.ADMIN),
    Operation("tokens.add", add_token, Right.ADMIN, writes=True),
    Operation("tokens.list", list_tokens, Right.ADMIN),
    Operation("tokens.revoke", revoke_token, Right.ADMIN, writes=True),
    Operation("login", make_login_code, Right.OWNER, writes=True),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}

__all__ = ["BY_NAME", "OPERATIONS", "Call", "Operation", "NullProgress", "jsonable"]
