"""A new operation becomes an MCP tool with text, without a change of the protocols."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from allma_server.operations import Call, Operation
from allma_server.operations.text import as_text, render
from allma_server.protocols.tools import make_tools
from allma_server.types import Right


@dataclass(frozen=True)
class Symbol:
    name: str
    path: str
    line: int
    container: str | None = None


@dataclass(frozen=True)
class SymbolList:
    symbols: list[Symbol]
    total: int
    notice: str | None = None


async def symbols(
    call: Call,
    name: Annotated[str, Field(description="A name, or a part of one.")],
    limit: int = 50,
) -> SymbolList:
    """Find classes and functions by their names.

    Use it when you know a name.
    """
    return SymbolList([], 0)


OPERATION = Operation("symbols", symbols, Right.SEARCH, tool="symbols")


def test_its_tool_comes_from_its_signature() -> None:
    [tool] = make_tools([OPERATION])
    assert (tool.name, tool.title, tool.reads_only) == ("symbols", "Symbols", True)
    assert (
        tool.description
        == "Find classes and functions by their names. Use it when you know a name."
    )
    assert tool.schema == {
        "type": "object",
        "properties": {"name": {"type": "string", "description": "A name, or a part of one."}},
        "required": ["name"],
    }
    assert tool.choose({"name": "open"}).operation is OPERATION


def test_operations_of_one_tool_are_its_actions() -> None:
    other = Operation("symbols.uses", symbols, Right.SEARCH, tool="symbols.uses")
    hidden = Operation("symbols.repair", symbols, Right.ADMIN)
    [tool] = make_tools([OPERATION, other, hidden])
    assert tool.actions == ["uses"]
    assert tool.choose({"name": "open", "action": "uses"}).operation is other


def test_its_result_is_listed_field_by_field() -> None:
    found = SymbolList([Symbol("open_engine", "/src/engine.py", 12), Symbol("x", "/y", 1, "Z")], 2)
    assert as_text(found).splitlines() == [
        "symbols:",
        "- name open_engine, path /src/engine.py, line 12",
        "- name x, path /y, line 1, container Z",
        "total: 2",
    ]


@dataclass(frozen=True)
class Outline:
    titles: list[str]


def test_an_operation_can_register_the_text_of_its_result() -> None:
    assert as_text(Outline(["A", "B"])) == "titles:\n- A\n- B"

    @render.register
    def outline_text(result: Outline) -> str:
        return " > ".join(result.titles)

    assert as_text(Outline(["A", "B"])) == "A > B" == outline_text(Outline(["A", "B"]))
