"""An operation without a handwritten command gets one from its signature."""

import io
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Literal

import pytest
import typer
from pydantic import Field
from typer.main import get_group
from typer.testing import CliRunner

from allma_server.cli.commands import MODULES, app
from allma_server.cli.commands.operations import OTHER_NAMES, program_of, without_command
from allma_server.cli.output import Output
from allma_server.cli.page import Page
from allma_server.cli.views import view
from allma_server.operations import OPERATIONS, Call, Operation
from tests.unit.cli.test_views import PASSAGE


@dataclass(frozen=True)
class Symbol:
    name: str
    kind: str
    path: str
    start_line: int


@dataclass(frozen=True)
class Symbols:
    query: str
    total: int
    complete: bool
    symbols: list[Symbol]
    languages: dict[str, int] = field(default_factory=dict[str, int])
    notice: str | None = None


FOUND = Symbols(
    "open",
    1200,
    False,
    [Symbol("open_engine", "function", "/work/engine.py", 3)],
    {"python": 1},
    "Indexing is in progress.",
)


async def symbols(
    call: Call,
    query: Annotated[str, Field(description="A part of a name.")],
    top_k: Annotated[int, Field(ge=1, le=50, description="At most so many.")] = 5,
    kind: Annotated[Literal["class", "function"] | None, Field(description="Only these.")] = None,
    exact: Annotated[bool, Field(description="The whole name.")] = False,
    paths: Annotated[list[str] | None, Field(description="Only these files.")] = None,
    limits: Annotated[dict[str, int] | None, Field(description="By language.")] = None,
) -> Symbols:
    """Find symbols by their names."""
    return FOUND


def run(*arguments: str, program: typer.Typer | None = None, code: int = 0) -> str:
    made = program or program_of(Operation("symbols", symbols))
    result = CliRunner().invoke(made, arguments, prog_name="allma symbols")
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("module", MODULES)
def test_every_command_of_a_module_is_listed(module: str) -> None:
    declared = get_group(import_module(f"allma_server.cli.commands.{module}").app).commands
    assert sorted(declared) == sorted(MODULES[module].split())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_can_be_a_command(operation: Operation) -> None:
    text = run("--help", program=program_of(operation))
    assert " ".join(operation.summary.split()) in " ".join(text.split())
    for name, argument in operation.arguments.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert argument.description


def test_an_argument_is_an_option_with_its_limits() -> None:
    text = " ".join(run("--help").split())
    assert "--query" in text and "A part of a name. [required]" in text
    assert "-k, --top-k" in text and "1<=x<=50" in text
    assert "--exact" in text and "--no-exact" in text
    assert "<class|function>" in text and "JSON" in text
    assert "--query" in run(code=2)
    assert "50" in run("--query", "open", "-k", "99", code=2)
    assert "nothing" in run("--query", "open", "--kind", "nothing", code=2)


def test_the_help_lists_the_generated_commands() -> None:
    text = run("--help", program=app)
    for name in without_command(get_group(app).commands):
        assert name.partition(".")[0] in text
        assert "--help" in run(*name.split("."), "--help", program=app)


def test_an_operation_has_one_command() -> None:
    made = without_command(get_group(app).commands)
    assert "search" not in made and "conversations.list" not in made
    assert not set(made) & set(OTHER_NAMES)


def shown(result: object) -> list[str]:
    file = io.StringIO()
    page = Page(Output(file, is_terminal=False, width=80), "/work")
    for item in view(result, page):
        page.print(item)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_result_without_a_view_is_shown_with_all_its_fields() -> None:
    assert shown(FOUND) == [
        "query     open",
        "total     1,200",
        "complete  no",
        "symbols",
        "  name         kind      start line  path",
        "  open_engine  function  3           engine.py:3",
        "languages",
        "  python  1",
    ]


def test_a_list_of_passages_is_shown_like_a_search() -> None:
    assert shown([PASSAGE])[0].startswith("1. notes/guide.md:")


PLAIN: list[tuple[object, str]] = [(None, "none"), ("Done.", "Done."), ([], "none")]


@pytest.mark.parametrize(("result", "line"), PLAIN)
def test_a_plain_value_is_shown_as_it_is(result: object, line: str) -> None:
    assert shown(result) == [line]
