"""Declare commands: an async function's arguments become the command line's."""

import inspect
import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException
from typer.main import get_group

from allma_server import __version__
from allma_server.cli.shell import Command, Options, complete

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_NEGATIVE = re.compile(r"-\.?[0-9][0-9.eE+-]*")
_REQUIRED = re.compile(r"\{(.*)\}")

OTHER_NAMES = {
    "find grep rg query": "search",
    "prompt question": "ask",
    "add scan": "index",
    "files list ls": "documents",
    "delete remove rm": "forget",
    "history log logs": "conversations",
    "set settings": "config",
    "keys": "config set-key",
    "server web": "serve",
    "kill quit stop": "daemon stop",
    "reload restart": "daemon restart",
}
"""Names that other programs have for the commands here."""


Load = Callable[[str], typer.Typer]
"""Imports a module of commands by its name, and returns its commands."""


class _Commands(Mapping[str, Any]):
    """The commands of the program by name; only the module of one that is used is imported."""

    def __init__(self, modules: Mapping[str, str], load: Load) -> None:
        self._modules = {name: module for module in modules for name in modules[module].split()}
        self._load = load
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module = typer.Typer(rich_markup_mode=None)
            module.add_typer(self._load(self._modules[name]))
            self._loaded |= get_group(module).commands
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class _Program(TyperGroup):
    """The program, whose help lists its commands by purpose."""

    sections: Mapping[str, Sequence[str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        listed = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        known = set(itertools.chain(*self.sections.values()))
        others = [name for name in listed if name not in known]
        for title, names in {**self.sections, "Other": others}.items():
            found = ((name, listed[name]) for name in names)
            rows = [(n, c.get_short_help_str(200)) for n, c in found if c and not c.hidden]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(self.epilog, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except TyperException as error:
            unknown, *_ = error.message.partition(" Did you mean")
            if hint := _meant(args, is_similar=unknown != error.message):
                error.message = f"{unknown} Did you mean `allma {hint}`?"
            raise


def _meant(words: Sequence[str], *, is_similar: bool) -> str | None:
    """Return the command that was meant by words that begin with none.

    Several are a question, unless the first one is similar to a command.
    """
    for others, name in OTHER_NAMES.items():
        if words[0] in others.split():
            return name
    is_question = " " in " ".join(words) and not is_similar
    return f"ask {shlex.join(words)}" if is_question else None


class _Command(TyperCommand):
    """A command with examples, to which a word such as `-1` is a value, not an option."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for each in self.params:
            if isinstance(each, TyperArgument) and each.name and not each.metavar:
                each.metavar = each.name.upper() + ("" if each.nargs == 1 else "...")
            elif isinstance(each, TyperOption) and each.type.name.startswith("int"):
                each.metavar = each.metavar or "N"

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [_REQUIRED.sub(r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(self.epilog, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._in_order(args))

    def _in_order(self, args: list[str]) -> list[str]:
        """Return options first and then, after `--`, values, if one of these is negative."""
        valued = {
            name
            for each in self.params
            if isinstance(each, TyperOption) and not each.is_flag
            for name in each.opts
        }
        options: list[str] = []
        values: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                values += words
            elif not word.startswith("-") or word == "-" or _NEGATIVE.fullmatch(word):
                values.append(word)
            else:
                options.append(word)
                if word in valued:
                    options += itertools.islice(words, 1)
        return [*options, "--", *values] if any(map(_NEGATIVE.fullmatch, values)) else args


def _write_examples(lines: str | None, formatter: Any) -> None:
    if lines:
        with formatter.section("Examples"):
            # As they are: a broken line is no command.
            formatter.write("".join(f"  {line}\n" for line in lines.split("\n")))


def program(
    summary: str,
    modules: Mapping[str, str],
    load: Load,
    *,
    examples: Sequence[str] = (),
    sections: Mapping[str, Sequence[str]] | None = None,
) -> typer.Typer:
    """Return the program.

    `modules`: the names of the commands of each module, which `load` imports. `sections`: the names
    of the commands under the titles of the help; the others come last.
    """

    class Sectioned(_Program):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands: Any = _Commands(modules, load)
            self.sections = sections or {}

    # Plain help needs no import of rich, and fits every terminal.
    app = typer.Typer(
        cls=Sectioned,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        help=summary,
        epilog="\n".join(examples) or None,
    )

    def run(context: typer.Context, options: Options, version: bool) -> None:
        context.obj = options

    def version(asked: bool) -> None:
        if asked:
            typer.echo(f"allma {__version__}")
            raise typer.Exit

    option = typer.Option("--version", callback=version, is_eager=True, help="Show the version.")
    own = inspect.Parameter("version", _KEYWORD, default=False, annotation=Annotated[bool, option])
    app.callback()(_with_options(run, [own]))
    return app


def command(
    app: typer.Typer, name: str, summary: str | None = None, examples: Sequence[str] = ()
) -> Callable[[Command], Command]:
    """Register a command with its own options, followed by those that all commands have.

    `summary` replaces the function's docstring as the help, which ends with `examples`.
    """

    def register(function: Command) -> Command:
        def run(context: typer.Context, options: Options, **arguments: Any) -> None:
            raise typer.Exit(complete(function, options.over(context.obj), arguments))

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        help_text = summary or inspect.getdoc(function)
        epilog = "\n".join(examples) or None
        app.command(name, help=help_text, epilog=epilog, cls=_Command)(_with_options(run, own))
        return function

    return register


def group(app: typer.Typer, name: str, bare: Command) -> typer.Typer:
    """Register a command with subcommands; without one, `bare` runs."""
    inner = typer.Typer(rich_markup_mode=None)

    def run(context: typer.Context, options: Options) -> None:
        context.obj = options.over(context.obj)
        if context.invoked_subcommand is None:
            raise typer.Exit(complete(bare, context.obj, {}))

    inner.callback(invoke_without_command=True)(_with_options(run, []))
    app.add_typer(inner, name=name, help=inspect.getdoc(bare))
    return inner


def _with_options(run: Callable[..., None], own: list[inspect.Parameter]) -> Callable[..., None]:
    """Give `run` a signature that typer can read: context, own parameters, all options.

    A parameter whose type is a dataclass is replaced by the fields of the dataclass.
    """
    options = inspect.Parameter("options", _KEYWORD, annotation=Options)
    parameters = [*own, options]
    groups: dict[str, Callable[..., Any]] = {
        p.name: p.annotation for p in parameters if _is_group(p)
    }

    @wraps(run)
    def flat(context: typer.Context, **arguments: Any) -> None:
        for name, group in groups.items():
            names = inspect.signature(group).parameters
            arguments[name] = group(**{field: arguments.pop(field) for field in names})
        run(context, **arguments)

    context = inspect.Parameter("context", _KEYWORD, annotation=typer.Context)
    flags = [flag for p in parameters for flag in (_flags(p) if _is_group(p) else [p])]
    flat.__signature__ = inspect.Signature(  # pyright: ignore[reportAttributeAccessIssue]
        [flag.replace(kind=_KEYWORD) for flag in (context, *flags)]
    )
    return flat


def _is_group(parameter: inspect.Parameter) -> bool:
    return is_dataclass(parameter.annotation)


def _flags(group: inspect.Parameter) -> Iterable[inspect.Parameter]:
    return inspect.signature(group.annotation, eval_str=True).parameters.values()
