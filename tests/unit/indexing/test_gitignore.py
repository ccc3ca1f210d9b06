"""Ignore rules, compared with real git on the same trees."""

import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from allma_server.indexing.gitignore import Rules, as_segment
from allma_server.indexing.scope import walk, walk_part
from tests.seeds import seeds

NAMES = (
    ["a", "b", "b1", "A", "foo", "bar", "foobar", "foo.txt", "x.py", ".hid", "a b", "a ", "a-b"]
    + ["é.md", "[x]", "!n", "#h", "a\\b", "*s", "q?", "build", "keep.log", "x.log"]
)  # fmt: skip
PIECES = (
    ["a", "b", "foo", "build", "*", "**", "***", "?", "*.txt", "*.log", "f*", "f*o", "*o*", "**foo"]
    + ["a**", "foo**", "a\\/b", "*\\/b", "f**o"]
    + ["[ab]", "[!a]", "[^a]", "[a-c]*", "[[]x]", "[x]", "\\[x\\]", "[[:alpha:]]", "[]-]"]
    + ["[!]a]", "[a-]", "a[-]b", "[\\]a]", "b[[:digit:]]", "[z-a]", "[!z-a]", "[a", "[[:no:]]"]
    + ["\\!n", "\\#h", "!n", "#h", "a b", "a\\ ", "a ", "a  ", ".hid", "*.", "\\a", "a\\b"]
    + ["a\\\\b", "é*", "*é*", "A", "\\*s", "q\\?", "x.p[yx]", "foo\\", "keep.log"]
)  # fmt: skip
WHOLE = ["", " ", "/", "!", "//", "\\", "**", "/**", "**/", "!/", "# words", "a//b", "*", "!*/"]


def pattern(random_: random.Random) -> str:
    if random_.random() < 0.06:
        return random_.choice(WHOLE)
    parts = [random_.choice(PIECES) for _ in range(random_.choice([1, 1, 1, 2, 2, 3]))]
    text = "/".join(parts)
    text = random_.choice(["", "", "", "/", "!", "!/"]) + text
    text += random_.choice(["", "", "", "/"])
    return text + random_.choice([""] * 9 + ["  ", "\t", "\\ ", "\r"])


def grow(folder: Path, random_: random.Random, depth: int = 0) -> None:
    for name in random_.sample(NAMES, 6):
        if depth < 3 and random_.random() < 0.5:
            (folder / name).mkdir()
            grow(folder / name, random_, depth + 1)
        else:
            (folder / name).write_text("words")
    if random_.random() < (0.9 if depth == 0 else 0.3):
        lines = [pattern(random_) for _ in range(random_.randint(1, 6))]
        (folder / ".gitignore").write_bytes("\n".join(lines).encode())


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "core.excludesFile=", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return os.fsdecode(done.stdout)


def seen(folder: Path) -> list[str]:
    found = walk(folder, folder / "no-data-here", 1_000_000)
    return sorted(os.path.relpath(entry.file.path, folder) for entry in found)


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(20, 1000))
def test_a_scan_lists_the_files_that_git_does_not_ignore(tmp_path: Path, seed: int) -> None:
    grow(tmp_path, random.Random(seed))
    git(tmp_path, "init", "-q")
    listed = git(tmp_path, "ls-files", "-coz", "--exclude-standard")
    assert seen(tmp_path) == sorted(name for name in listed.split("\0") if name)


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(5, 200))
def test_a_single_file_is_included_if_a_scan_includes_it(tmp_path: Path, seed: int) -> None:
    grow(tmp_path, random.Random(seed))
    every = [path for path in tmp_path.rglob("*") if path.is_file()]
    hidden = tmp_path / "no-data-here"
    one_by_one = [
        os.path.relpath(entry.file.path, tmp_path)
        for path in every
        for entry in walk_part(tmp_path, [path], hidden, 1_000_000)
    ]
    assert sorted(one_by_one) == seen(tmp_path)


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*.log\n!keep.log\n", "keep.log", False),
        ("build/\n", "build", None),
        ("/todo.md\n", "docs/todo.md", None),
        ("docs/todo.md\n", "x/docs/todo.md", None),
        ("docs/**/todo.md\n", "docs/todo.md", True),
        ("docs/**\n", "docs/a/b.md", True),
        ("**/logs/x\n", "a/b/logs/x", True),
        ("notes.md  \n", "notes.md", True),
        ("notes\\ \n", "notes ", True),
        ("notes.md\r\n", "notes.md", True),
        ("\ufeffnotes.md\n", "notes.md", True),
        ("[a-c]?.md\n", "b1.md", True),
    ],
)
def test_single_rules(rules: str, path: str, ignored: bool | None) -> None:
    segments = [as_segment(part) for part in path.split("/")]
    assert Rules.parse(rules.encode()).ignores(segments, is_folder=False) is ignored


def quickest(rules: Rules, path: Sequence[str]) -> float:
    def once() -> float:
        began = time.process_time()
        rules.ignores(path, is_folder=False)
        return time.process_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (b"*a" * 60 + b"b", ["a" * 250]),
        (b"*a?" * 40 + b"*b", ["a" * 250]),
        (b"**/a/" * 40 + b"b", ["a"] * 400),
    ],
)
def test_no_rule_makes_matching_slow(rule: bytes, path: list[str]) -> None:
    assert quickest(Rules.parse(rule), path) < 0.5
