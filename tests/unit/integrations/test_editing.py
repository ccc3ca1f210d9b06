"""Configuration files in three formats: only our entry changes, and everything else stays."""

from types import ModuleType

import pytest

from allma_server.integrations import jsonc, toml, yaml
from allma_server.integrations.text import Unreadable

PATH = ("servers", "allma")
ENTRY = {"command": "/bin/allma", "args": ["mcp"]}
IN_TWO = '"allma": {\n      "command": "/bin/allma",\n      "args": ["mcp"]\n    }'

JSONC = {
    "nothing": ("", '{\n  "servers": {\n    ' + IN_TWO + "\n  }\n}\n"),
    "an empty object": ("{}\n", '{\n  "servers": {\n    ' + IN_TWO + "\n  }\n}\n"),
    "an empty object of servers": (
        '{\n  "servers": {}\n}\n',
        '{\n  "servers": {\n    ' + IN_TWO + "\n  }\n}\n",
    ),
    "an object with only a comment": (
        '{\n  "servers": {\n    // none yet\n  }\n}',
        '{\n  "servers": {\n    // none yet\n    ' + IN_TWO + "\n  }\n}",
    ),
    "another server": (
        '{\n  "servers": {\n    "a": {"command": "a"}\n  }\n}\n',
        '{\n  "servers": {\n    "a": {"command": "a"},\n    ' + IN_TWO + "\n  }\n}\n",
    ),
    "comments and commas at the end": (
        '// mine\n{\n  "x": 1, // one\n  "servers": {\n    "a": {}, // "b": {},\n  },\n}\n',
        '// mine\n{\n  "x": 1, // one\n  "servers": {\n    "a": {}, // "b": {},\n    '
        + IN_TWO
        + ",\n  },\n}\n",
    ),
    "a comment after the last": (
        '{\n  "servers": {\n    "a": {} /* first */ // last\n    // below\n  }\n}\n',
        '{\n  "servers": {\n    "a": {}, /* first */ // last\n    '
        + IN_TWO
        + "\n    // below\n  }\n}\n",
    ),
    "one line": (
        '{"servers": {"a": {}}}',
        '{"servers": {"a": {}, "allma": {"command": "/bin/allma", "args": ["mcp"]}}}',
    ),
    "signs that look like structure": (
        '{\n  "s": "/* { , } */ // \\" ü 🦙",\n  "servers": {"a": "}"}\n}\n',
        (
            '{\n  "s": "/* { , } */ // \\" ü 🦙",\n  "servers": {"a": "}", "allma": '
            '{"command": "/bin/allma", "args": ["mcp"]}}\n}\n'
        ),
    ),
    "tabs and the line ends of Windows": (
        '{\r\n\t"x": 1\r\n}\r\n',
        (
            '{\r\n\t"x": 1,\r\n\t"servers": {\r\n\t\t"allma": {\r\n\t\t\t"command": "/bin/allma",'
            '\r\n\t\t\t"args": ["mcp"]\r\n\t\t}\r\n\t}\r\n}\r\n'
        ),
    ),
}
YAML_ENTRY = '  allma:\n    command: "/bin/allma"\n    args: ["mcp"]\n'
YAML = {
    "nothing": ("", "servers:\n" + YAML_ENTRY),
    "other keys": ("a: 1 # one\n", "servers:\n" + YAML_ENTRY + "a: 1 # one\n"),
    "no servers": (
        "a: 1\nservers: {} # none\n",
        "a: 1\nservers:\n" + YAML_ENTRY[:-1] + " # none\n",
    ),
    "nothing under it": ("servers:\na: 1\n", "servers:\n" + YAML_ENTRY + "a: 1\n"),
    "another server": (
        "# mine\nservers:\n  # first\n  b:\n    cmd: 'b'  # b\n\nz: [1,\n  2]\n",
        "# mine\nservers:\n  # first\n" + YAML_ENTRY + "  b:\n    cmd: 'b'  # b\n\nz: [1,\n  2]\n",
    ),
}
TOML_ENTRY = '[servers.allma]\ncommand = "/bin/allma"\nargs = ["mcp"]\n'
TOML = {
    "nothing": ("", TOML_ENTRY),
    "another server": (
        "# mine\na = 1 # one\n\n[servers.b] # b\nx   = 'y'\n",
        "# mine\na = 1 # one\n\n[servers.b] # b\nx   = 'y'\n\n" + TOML_ENTRY,
    ),
}
CASES = [
    pytest.param(form, before, after, id=f"{form.__name__.rpartition('.')[2]}: {name}")
    for form, cases in ((jsonc, JSONC), (yaml, YAML), (toml, TOML))
    for name, (before, after) in cases.items()
]


@pytest.mark.parametrize(("form", "before", "after"), CASES)
def test_adding_and_removing_an_entry_changes_nothing_else(
    form: ModuleType, before: str, after: str
) -> None:
    assert form.set_value(before, PATH, ENTRY) == after
    whole = form.load(before)
    servers = whole.get("servers") or {}
    assert form.load(after) == whole | {"servers": servers | {"allma": ENTRY}}
    out = form.remove_value(after, PATH)
    assert form.load(out) in (whole, whole | {"servers": servers})
    if servers:
        assert out.rstrip() == before.rstrip()
    assert form.remove_value(before, PATH) == before


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        (
            jsonc,
            '{"servers": {"allma": {"command": "old", "env": {"A": "1"} /* mine */}}}',
            '{"servers": {"allma": {"command": "/new", "env": {"A": "1"} /* mine */}}}',
        ),
        (
            yaml,
            "servers:\n  allma:\n    command: old # here\n    args:\n    - a\n    # b\n    x: 1\n",
            (
                'servers:\n  allma:\n    command: "/new" # here\n    args:\n    - a\n    # b\n'
                "    x: 1\n"
            ),
        ),
        (
            toml,
            '[servers.allma]\ncommand = "old" # here\nx = 1\n',
            '[servers.allma]\ncommand = "/new" # here\nx = 1\n',
        ),
    ],
)
def test_one_key_of_an_entry_can_be_changed(form: ModuleType, before: str, after: str) -> None:
    assert form.set_value(before, (*PATH, "command"), "/new") == after


def test_a_list_over_several_lines_can_be_replaced() -> None:
    before = "servers:\n  allma:\n    args:\n      - a\n      - b # second\n    # mine\n    x: 1\n"
    after = yaml.set_value(before, (*PATH, "args"), ["mcp"])
    assert yaml.load(after) == {"servers": {"allma": {"args": ["mcp"], "x": 1}}}
    assert "# mine" in after


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (jsonc, "{"),
        (jsonc, '{"a": }'),
        (jsonc, "[]"),
        (jsonc, '{"a": f()}'),
        (jsonc, "{a: 1}"),
        (jsonc, "{'a': 1}"),
        (jsonc, '{"a": 1}) + ({"b": 2}'),
        (jsonc, '{"servers": []}'),
        (jsonc, "// only a comment"),
        (yaml, "a: [1"),
        (yaml, "- a\n"),
        (yaml, "{a: 1}"),
        (yaml, "servers: {a: {}}\n"),
        (yaml, "servers: [1]\n"),
        (toml, "a = "),
        (toml, "servers = 1\n"),
    ],
)
def test_a_file_that_cannot_be_edited_safely_is_refused(form: ModuleType, text: str) -> None:
    with pytest.raises(Unreadable):
        form.set_value(text, PATH, ENTRY)


def test_the_last_of_duplicate_keys_counts() -> None:
    text = '{"servers": {"a": {}}, "servers": {"b": {}}}'
    after = jsonc.set_value(text, PATH, ENTRY)
    assert after.startswith('{"servers": {"a": {}}, "servers": {"b": {}, "allma"')
