"""Generate `:help allma` from `help.txt` and the commands, options, keys and settings."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap

from extensions.generate.lua import literal
from extensions.generate.neovim import COMMANDS, KEYS, OPTIONS, SETTINGS, Option, Setting

PROSE = Path(__file__).with_name("help.txt")
WIDTH = 78


def page() -> str:
    """Return the content of the file."""
    text = PROSE.read_text("utf-8")
    parts = {
        "commands": _entries((f":Allma {c.name} {c.usage}", f":Allma-{c.name}", c.description)
                             for c in COMMANDS),
        "options": "".join(map(_option, OPTIONS)),
        "keys": "".join(f"{k.name:<16}{k.default:<8}{k.description}\n"
                        for k in sorted(KEYS, key=lambda key: key.name)),
        "settings": _entries((s.name, f"allma-settings-{s.name}", _facts(s), s.description)
                             for s in SETTINGS),
    }  # fmt: skip
    for name, part in parts.items():
        text = text.replace(f"{{{{{name}}}}}", part)
    return text


def _entries(entries: Iterable[tuple[str, ...]]) -> str:
    """Return headings with their tags, each followed by its paragraphs."""
    return "\n".join(
        _tagged(head.strip(), tag) + "".join(map(_wrapped, paragraphs))
        for head, tag, *paragraphs in entries
    )


def _tagged(head: str, tag: str) -> str:
    gap = max(1, WIDTH - len(head) - len(tag) - 2)
    return f"{head}{' ' * gap}*{tag}*\n"


def _wrapped(text: str) -> str:
    indent = " " * 8
    lines = wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"


def _option(option: Option) -> str:
    usage = f"++{option.name}" + (f"={{{option.value}}}" if option.value else "")
    return f"{usage:<18}{option.description}{'' if option.for_search else ' (questions only)'}\n"


def _facts(setting: Setting) -> str:
    kind = "|".join(setting.types)
    if setting.values:
        kind += f": {', '.join(setting.values)}"
    if setting.least is not None:
        kind += f", {setting.least} to {setting.most}"
    default = f"`{literal(setting.default)}`"
    if setting.name == "keys":
        default = "see |allma-chat|"
    elif setting.of_server and setting.default is None:
        default = "the server's setting"
    return f"({kind}, default: {default})"
