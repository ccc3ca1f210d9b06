"""Results as people read them: a view for a type of result, or its fields where it has none."""

from allma_server.cli.page import Page, View, Views
from allma_server.cli.views import clients, conversations, engine, indexing, models, searching
from allma_server.cli.views.record import record

VIEWS: Views = {
    **indexing.VIEWS,
    **searching.VIEWS,
    **conversations.VIEWS,
    **models.VIEWS,
    **engine.VIEWS,
    **clients.VIEWS,
}


def view(result: object, page: Page) -> View:
    """Render a result, item by item."""
    return VIEWS.get(type(result), record)(result, page)
