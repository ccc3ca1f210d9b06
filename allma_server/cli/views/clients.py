"""AI clients and their configuration files."""

from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, Views
from allma_server.integrations.install import Installation, Installations


def _installations(result: Installations, page: Page) -> View:
    styles = {"installed": "green", "unreadable": "yellow"}
    rows = [
        (Text(c.client, "bold"), Text(c.state, styles.get(c.state, "dim")), page.location(c.file))
        for c in result.clients
    ]
    yield from page.columns(rows)


def _installation(result: Installation, page: Page) -> View:
    yield from _file(result, page)
    for each in result.guide:
        if each.change:
            yield from _file(each, page)


def _file(result: Installation, page: Page) -> View:
    for line in result.change.split("\n")[2:]:
        style = {"+": "green", "-": "red", "@": "dim"}[line[0]]
        yield Text(line, style)
    if not result.change:
        has = "already has Allma" if result.state == "installed" else "does not have Allma"
        yield Text(f"{result.title} {has}: ") + page.location(result.file)
        return
    yield Text("Written to " if result.written else "Not written to ") + page.location(result.file)
    if result.backup:
        yield Text("Backup: ") + page.location(result.backup, style="")
    if result.next_step:
        yield Text(f"→ {result.next_step}", "yellow")


VIEWS: Views = {
    "Installations": _installations,
    "Installation": _installation,
}
