"""Results as people read them: a view for a type of result, or its fields where it has none."""

from importlib import import_module

from allma_server.cli.page import Page, View

MODULES = {
    "clients": "Installation Installations",
    "conversations": "Answer Conversation ConversationPage Export",
    "engine": "DaemonStatus Diagnosis Done ImportReport PageAddress Setting Settings Status",
    "indexing": "DocumentPage ForgetReport IngestReport Job",
    "models": "ModelInfo ModelList",
    "searching": "Evaluation Excerpt Explanation SearchResult",
}
"""The types that the modules here render. Only the one that is needed is imported: all of them
would take as long as the rest of a search in a running engine."""


def view(result: object, page: Page) -> View:
    """Render a result, item by item."""
    name = type(result).__name__
    for module, names in MODULES.items():
        if name in names.split():
            return import_module(f"{__name__}.{module}").VIEWS[name](result, page)
    from allma_server.cli.views.record import record

    return record(result, page)
