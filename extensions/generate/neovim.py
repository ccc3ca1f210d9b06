"""Declares the Neovim client's commands, options, keys and settings.

The tables in `lua/allma/reference.lua` and the help page `doc/allma.txt` are generated from these
declarations. The commands are implemented in `lua/allma/commands/`.
"""

from dataclasses import dataclass

from allma_server.protocols.settings import SETTINGS as SERVER_SETTINGS


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of `:Allma`; `lua/allma/commands/` has a file of the same name."""

    name: str
    usage: str
    description: str


@dataclass(frozen=True, slots=True)
class Option:
    """An option such as `++top=8` of questions and searches. `value`: the type of its value."""

    name: str
    description: str
    value: str | None = None
    for_search: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A key mapping of the chat's buffer; `name` is its name in the setting `keys`."""

    name: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of `setup()`.

    `annotation` is its LuaCATS type, `types` are the allowed results of Lua's `type()`.
    `of_server`: sent to the server, whose own setting applies where it is nil.
    """

    name: str
    annotation: str
    types: tuple[str, ...]
    default: object
    description: str
    values: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    of_server: bool = False


COMMANDS = (
    Command(
        "ask",
        "[++option...] [question]",
        "Ask a question in the chat. With a range, ask about those lines.",
    ),
    Command("chat", "[new]", "Open the chat: the latest one, or a new one."),
    Command(
        "pin",
        "[path...]",
        "Answer questions in the chat only from these files and folders. Without a path: the "
        "current file.",
    ),
    Command(
        "unpin",
        "[path...]",
        "Answer from all documents again. With a path: remove only this one.",
    ),
    Command(
        "search",
        "[++option...] [words]",
        "Find passages. With a range, search for the text of those lines.",
    ),
    Command(
        "explain",
        "[++option...] [words]",
        "Explain a search: rank, score and outcome of each candidate after each stage.",
    ),
    Command(
        "conversations",
        "[open|rename|delete|export] [words]",
        "Select an earlier chat that contains these words; open, rename, delete or export it.",
    ),
    Command(
        "panel",
        "",
        "Open or close the panel of conversations, at the left. `g?` shows its keys.",
    ),
    Command(
        "ingest",
        "[path...]",
        "Index files and folders. Without a path: the project, or else the working directory.",
    ),
    Command("sync", "", "Update the index from disk now."),
    Command(
        "forget",
        "[path]",
        "Remove a file or folder from the index, not from disk. Without a path: the current file.",
    ),
    Command(
        "documents",
        "[indexed|skipped|failed]",
        "List the files in the quickfix list, with the reason for each skipped or failed one.",
    ),
    Command(
        "models",
        "[use|pull|delete] [name]",
        "Select the chat model; download or delete a model.",
    ),
    Command(
        "status",
        "",
        "Show what is indexed and which models are used. :checkhealth allma runs all checks.",
    ),
    Command(
        "log",
        "",
        "Open the server's log, or Neovim's LSP log if the server does not run.",
    ),
    Command(
        "stop",
        "[server]",
        "Cancel running answers and indexing, or stop the server.",
    ),
    Command("restart", "", "Restart the server."),
)

OPTIONS = (
    Option("all", "search everything that is indexed, not only open projects", for_search=True),
    Option("path", "only files that match this glob", "string", for_search=True),
    Option("top", "the number of passages", "number", for_search=True),
    Option("model", "the model that answers", "string"),
    Option("plain", "answer without documents"),
    Option("deep", "search for each part of the question; takes longer"),
    Option("think", "whether the model thinks first: auto, on or off", "string"),
)

KEYS = (
    Key("send", "<CR>", "send; on a source, open it"),
    Key("send_insert", "<C-s>", "send, in insert mode"),
    Key("open", "gf", "open the source under the cursor"),
    Key("preview", "K", "show the source's text"),
    Key("stop", "<C-c>", "stop the answer"),
    Key("regenerate", "gR", "repeat the last question; replaces its answer"),
    Key("edit", "gE", "edit the last question; replaces it"),
    Key("new", "gN", "open a new chat"),
    Key("documents", "gD", "switch documents on or off"),
    Key("pin", "gP", "pin a file or folder: questions are answered only from it"),
    Key("next", "]]", "next heading"),
    Key("previous", "[[", "previous heading"),
    Key("help", "g?", "show these keys"),
)

_LUA_TYPES = {str: ("string", "string"), int: ("integer", "number"), bool: ("boolean", "boolean")}


def _of_server() -> tuple[Setting, ...]:
    return tuple(
        Setting(
            setting.name,
            annotation if setting.kind is bool else f"{annotation}?",
            (lua_type,) if setting.kind is bool else (lua_type, "nil"),
            # For nil, the server's own setting applies.
            setting.default if setting.kind is bool else None,
            setting.description,
            values=setting.choices,
            least=setting.least,
            most=setting.most,
            of_server=True,
        )
        for setting in SERVER_SETTINGS
        if not setting.technical
        for annotation, lua_type in [_LUA_TYPES[setting.kind]]
    )


SETTINGS = (
    Setting(
        "cmd",
        "string[]",
        ("table",),
        ["allma-server", "lsp"],
        "The server's program and its arguments. Use the full path if the program is not on "
        "Neovim's `PATH`. With the additional argument `--solo`, the engine is not shared with "
        "your other editors and shells.",
    ),
    Setting(
        "cmd_env",
        "table<string, string>",
        ("table",),
        {},
        "Environment variables of the server, such as `ALLMA_DATA_DIR`.",
    ),
    Setting(
        "attach",
        "boolean",
        ("boolean",),
        True,
        "Enable the language server for files inside a project: it starts when the first one is "
        "opened. If false, the first command that needs it starts it; you can still call "
        "|vim.lsp.enable()| yourself.",
    ),
    Setting(
        "root_markers",
        "string[]",
        ("table",),
        [".allmaignore", ".git", ".hg", ".jj"],
        "Names of files or folders that mark a project's root. The server ignores files outside of "
        "projects.",
    ),
    *_of_server(),
    Setting(
        "results",
        '"auto"|"quickfix"|"select"|fun(passages: allma.Passage[], title: string)',
        ("string", "function"),
        "auto",
        'Where search results are shown: in the `"quickfix"` list or in |vim.ui.select()| '
        '(`"select"`). `"auto"` uses the quickfix list, shown in Telescope, fzf-lua or snacks if '
        "one of these is installed. A function is called with the passages and a title.",
        values=("auto", "quickfix", "select"),
    ),
    Setting(
        "chat_window",
        '"right"|"left"|"above"|"below"|"float"|"tab"|"current"',
        ("string",),
        "right",
        "Where a chat opens.",
        values=("right", "left", "above", "below", "float", "tab", "current"),
    ),
    Setting(
        "chat_size",
        "number",
        ("number",),
        0.4,
        "The fraction of the screen that a chat's window takes.",
    ),
    Setting(
        "keys",
        "table<string, string|false>",
        ("table",),
        {key.name: key.default for key in KEYS},
        "Keys of a chat's buffer, see |allma-chat|. Keys that are not given keep their default; "
        "false removes a key.",
    ),
)
