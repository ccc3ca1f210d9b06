import json
from pathlib import PurePath

import pytest

from allma_server.documents.readers import json as json_reader
from allma_server.types import Extract


def read(data: str | bytes, name: str = "file.json") -> Extract:
    return json_reader.read(data.encode() if isinstance(data, str) else data, PurePath(name))


def records(extract: Extract) -> list[str]:
    """The lines at which records begin."""
    breaks = [at for section in extract.sections for at in section.breaks]
    return [extract.text[at:].split("\n", 1)[0].strip() for at in breaks]


def test_lines_are_those_of_the_file() -> None:
    text = json.dumps([{"name": "Ann", "age": 7}, {"name": "Bee", "age": 8}], indent=2)
    extract = read(text)
    assert extract.text == text
    assert extract.sections[0].kind == "records"


def test_records_of_a_long_list_are_breaks() -> None:
    rows = [{"name": f"n{i}", "text": "x" * 60} for i in range(50)]
    assert records(read(json.dumps(rows, indent=1))) == ["[", *["{"] * 50]


def test_records_of_minified_json_are_breaks_too() -> None:
    rows = [{"name": f"n{i}", "text": "x" * 60} for i in range(50)]
    found = records(read(json.dumps(rows, separators=(",", ":"))))
    assert found[1:4:2][0].startswith('{"name":"n0"')
    assert len(found) == 51


def test_each_line_of_json_lines_is_a_break() -> None:
    rows = "".join(json.dumps({"id": i, "text": "word " * 20}) + "\n" for i in range(30))
    assert len(records(read(rows, "file.jsonl"))) == 30


def test_long_members_of_an_object_have_their_key_as_heading() -> None:
    members = {
        "name": "demo",
        "scripts": {f"s{i}": "run " * 10 for i in range(40)},
        "private": True,
    }
    extract = read(json.dumps(members, indent=2))
    assert [section.heading for section in extract.sections] == [(), ("scripts",), ()]


@pytest.mark.parametrize(
    ("escaped", "found"),
    [
        (r"Gr\u00fc\u00dfe", "Grüße"),
        (r"\ud83d\ude00", "😀"),
        (r"first\nsecond", "first second"),
        (r"a\/b", "a/b"),
        (r"say \"no\"", r"say \"no\""),
        (r"C:\\new", r"C:\\new"),
        (r"\u0022\u005c", r"\u0022\u005c"),
        (r"\ud800", "\ufffd"),
        (r"\u0000 \u12", r"  \u12"),
    ],
)
def test_escapes_are_decoded(escaped: str, found: str) -> None:
    assert read(f'["{escaped}"]').text == f'["{found}"]'


@pytest.mark.parametrize(
    "text", ["[1]]", "[1, 2", '{"a": [1}', "] [", "{'a': \"[\n", '{"a": "never closed]']
)
def test_unbalanced_json_is_read_as_text(text: str) -> None:
    extract = read(text)
    assert (extract.text, extract.sections[0].kind) == (text, "text")


def test_comments_are_accepted() -> None:
    assert "why" in read('// why: it\'s so\n{"a": 1, /* b */ "c": 2,}\n', "settings.jsonc").text


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        "9" * 200_000,
        '"' * 99_999,
    ],
    ids=["arrays", "objects", "number", "quotes"],
)
def test_extreme_files_are_read_within_the_limit(text: str) -> None:
    assert read(text).text == text


def test_embedded_files_are_not_indexed() -> None:
    text = json.dumps({"name": "logo", "image": "iVBORw0KGgo" * 100})
    assert read(text).text == '{"name": "logo", "image": "…"}'
