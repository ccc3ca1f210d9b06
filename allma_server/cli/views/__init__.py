"""Results as people read them: one view per type of result."""

from allma_server.cli.page import Page, View, Views
from allma_server.cli.views import clients, conversations, engine, indexing, models, searching

VIEWS: Views = {
    **indexing.VIEWS,
    **searching.VIEWS,
    **conversations.VIEWS,
    **models.VIEWS,
    **engine.VIEWS,
    **clients.VIEWS,
}


def view(result: object, page: Page) -> View:
    """What a result looks like, item by item."""
    return VIEWS[type(result)](result, page)
