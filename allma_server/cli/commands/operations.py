"""Commands of the operations for which none is written by hand.

`allma NAME --argument value` runs the operation NAME: its options come from its signature, its
output from the type of its result. A dotted name becomes a command with a subcommand.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from allma_server.cli.program import command
from allma_server.cli.shell import Command, Shell

if TYPE_CHECKING:
    from allma_server.operations import Operation

OTHER_NAMES = {"ingest": "index", "repair": "doctor --repair"}
"""Operations whose command by hand has another name."""

_FORWARD: dict[str, object] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}
_SHORT = {"top_k": ("--top-k", "-k")}
_SIMPLE = {str, int, float, bool}


app = typer.Typer()


def add_commands(subject: typer.Typer, operations: Mapping[str, str]) -> None:
    """Register a command for each of some operations, given by names and summaries.

    These are enough for the help, which would take a second with the operations themselves.
    """
    groups = {
        each.name: each.typer_instance
        for each in subject.registered_groups
        if isinstance(each.name, str) and each.typer_instance is not None
    }
    for name, summary in operations.items():
        group, _, last = name.rpartition(".")
        if group and group not in groups:
            groups[group] = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
            subject.add_typer(groups[group], name=group, help=summary)
        _add(groups[group] if group else subject, name, last, summary)


def without_command(commands: Mapping[str, Any]) -> dict[str, str]:
    """Return the value of `generated.OPERATIONS`: operations without a handwritten command."""
    from allma_server.operations import OPERATIONS as ALL  # late: not for the help

    known = set(_handwritten(commands))
    return {
        operation.name: operation.summary.partition(". ")[0].rstrip(".") + "."
        for operation in ALL
        if operation.name not in known and operation.name not in OTHER_NAMES
    }


def _handwritten(commands: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Return the names of the handwritten commands, as operations have them."""
    for name, each in commands.items():
        if inner := getattr(each, "commands", None):
            yield from _handwritten(inner, f"{prefix}{name}.")
        elif each.callback.__module__ != __name__:
            yield f"{prefix}{name}"


def _add(parent: typer.Typer, name: str, last: str, summary: str) -> None:
    @parent.command(last, help=summary, context_settings=_FORWARD)
    def forward(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
        from allma_server.operations import BY_NAME  # late: not for the help

        whole = program_of(BY_NAME[name])
        whole(args=context.args, prog_name=context.command_path, obj=context.obj)


def program_of(operation: "Operation") -> typer.Typer:
    """Return a program that runs one operation with the command line's options."""
    only = typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    command(only, operation.name, inspect.getdoc(operation.run))(_command(operation))
    return only


def _command(operation: "Operation") -> Command:
    """Run an operation with the command line's options and show its result."""

    async def run(shell: Shell, **arguments: Any) -> None:
        result = await shell.run(operation.name, doing="Working", **arguments)
        shell.show(result, words=str(arguments.get("query") or ""))
        shell.warn(getattr(result, "notice", None))
        if (cursor := getattr(result, "next_cursor", None)) is not None:
            shell.say(f"There are more: add --cursor {cursor}")

    shell, *own = inspect.signature(operation.run, eval_str=True).parameters.values()
    signature = inspect.Signature([shell, *map(_option, own)])
    run.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return run


def _option(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return the option for an argument: `--its-name`, with its description, limits and default."""
    annotated = get_origin(parameter.annotation) is Annotated
    kind, *marks = get_args(parameter.annotation) if annotated else (parameter.annotation,)
    settings: dict[str, Any] = {
        "help": next((about for mark in marks if (about := getattr(mark, "description", None))), "")
    }
    if _is_simple(kind):
        settings |= _limits(marks)
    else:
        import json

        settings |= {"parser": json.loads, "metavar": "JSON"}
        kind = Any
    option = typer.Option(*_SHORT.get(parameter.name, ()), **settings)
    return parameter.replace(
        annotation=Annotated[kind, option], kind=inspect.Parameter.KEYWORD_ONLY
    )


def _is_simple(kind: Any) -> bool:
    """Return whether the shell can write such a value as words."""
    members = [each for each in get_args(kind) if each is not type(None)]
    if kind in _SIMPLE or get_origin(kind) is Literal:
        return True
    if get_origin(kind) is list:
        return members[0] in _SIMPLE
    return len(members) == 1 and get_origin(kind) is not dict and _is_simple(members[0])


def _limits(marks: Iterable[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for mark in (limit for each in marks for limit in getattr(each, "metadata", ())):
        for name, option in (("ge", "min"), ("le", "max")):
            if (limit := getattr(mark, name, None)) is not None:
                found[option] = limit
    return found
