"""The Neovim client's own face: its commands, options, keys and settings.

Written once here, for its tables (`lua/allma/reference.lua`) and its help (`doc/allma.txt`). What a
command does is in `lua/allma/commands/`.
"""

from dataclasses import dataclass

from allma_server.protocols.settings import SETTINGS as SERVER_SETTINGS


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command of `:Allma`; its file below `lua/allma/commands/` has its name."""

    name: str
    usage: str
    about: str


@dataclass(frozen=True, slots=True)
class Option:
    """A word such as `++top=8` before a question or a search. `value`: its kind, if it has one."""

    name: str
    about: str
    value: str | None = None
    for_search: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a chat's buffer, by the name under which it can be changed."""

    name: str
    default: str
    about: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What `setup()` takes.

    `annotation` is its type as the Lua language server knows it, `types` what Lua's `type()` may
    say. `of_server`: handed to the server, which decides where it is nil.
    """

    name: str
    annotation: str
    types: tuple[str, ...]
    default: object
    about: str
    values: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    of_server: bool = False


COMMANDS = (
    Command(
        "ask",
        "[++option...] [question]",
        "Ask, and have the answer written into the chat. With a range, ask about those lines.",
    ),
    Command("chat", "[new]", "Open the chat: the latest one, or a new one."),
    Command(
        "search",
        "[++option...] [words]",
        "Find passages. With a range, find what belongs to those lines.",
    ),
    Command(
        "explain",
        "[++option...] [words]",
        "Show why a search finds what it finds: where each passage stood in each list, and why it "
        "is not shown.",
    ),
    Command(
        "conversations",
        "[open|rename|delete|export] [words]",
        "Choose an earlier chat, all or those with these words, and continue it (or rename, "
        "delete, export it).",
    ),
    Command(
        "ingest",
        "[path...]",
        "Index files and folders, and keep them indexed; the project, or the working directory, "
        "without a path.",
    ),
    Command("sync", "", "Bring the index up to date with the disk now."),
    Command(
        "forget",
        "[path]",
        "Take a file or folder out of the index; nothing on disk is touched. The current file "
        "without a path.",
    ),
    Command(
        "documents",
        "[indexed|skipped|failed]",
        "List the files that were seen, and why one was skipped or failed, in the quickfix list.",
    ),
    Command(
        "models",
        "[use|pull|delete] [name]",
        "Choose the model that answers; download or delete one.",
    ),
    Command(
        "status",
        "",
        "Show what is indexed and which models serve. :checkhealth allma checks everything.",
    ),
    Command(
        "log",
        "",
        "Open the server's log; Neovim's log of language servers when the server cannot be asked.",
    ),
    Command(
        "stop",
        "[server]",
        "Stop the answers and ingestions that are under way; or the server.",
    ),
    Command("restart", "", "Start the server anew."),
)

OPTIONS = (
    Option("all", "look in all that is indexed, not only in open projects", for_search=True),
    Option("path", "only in files that match this glob", "string", for_search=True),
    Option("top", "so many passages", "number", for_search=True),
    Option("model", "answered by this model", "string"),
    Option("plain", "answered without documents"),
)

KEYS = (
    Key("send", "<CR>", "send; on a source, open it"),
    Key("send_insert", "<C-s>", "send, while inserting"),
    Key("open", "gf", "open the source under the cursor"),
    Key("preview", "K", "show the source's text"),
    Key("stop", "<C-c>", "stop the answer"),
    Key("regenerate", "gR", "ask the last question again, in its place"),
    Key("edit", "gE", "edit the last question and ask it in its place"),
    Key("new", "gN", "open a new chat"),
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
            # What is left nil follows the server's own settings.
            setting.default if setting.kind is bool else None,
            setting.description,
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
        "The program that is started, with its arguments. Name it with its full path when it is "
        "not on the `PATH` of Neovim. With `--solo` as a further argument the engine runs in a "
        "process of its own instead of being shared with your other editors and shells.",
    ),
    Setting(
        "cmd_env",
        "table<string, string>",
        ("table",),
        {},
        "Environment variables for that program, such as `ALLMA_DATA_DIR`.",
    ),
    Setting(
        "attach",
        "boolean",
        ("boolean",),
        True,
        "Enable the language server for files inside a project, which starts it when the first one "
        "is opened. When false, it starts with the first command that needs it; |vim.lsp.enable()| "
        "can still be called by hand.",
    ),
    Setting(
        "root_markers",
        "string[]",
        ("table",),
        [".allmaignore", ".git", ".hg", ".jj"],
        "What a project's folder has in it. Files outside of any project are left alone.",
    ),
    *_of_server(),
    Setting(
        "results",
        '"auto"|"quickfix"|"select"|fun(passages: allma.Passage[], title: string)',
        ("string", "function"),
        "auto",
        'Where found passages are shown: in the `"quickfix"` list or in |vim.ui.select()| '
        '(`"select"`). With `"auto"` it is the quickfix list, in Telescope\'s view when Telescope '
        "is installed. A function gets the passages and a title instead.",
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
        "The share of the screen that a chat's window takes.",
    ),
    Setting(
        "keys",
        "table<string, string|false>",
        ("table",),
        {key.name: key.default for key in KEYS},
        "Keys of a chat's buffer, see |allma-chat|. Those that you do not name keep their default; "
        "false takes one away.",
    ),
)
