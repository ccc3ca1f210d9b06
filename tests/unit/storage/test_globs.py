"""Globs match the intended paths, and quickly."""

import time

import pytest

from allma_server.storage.sqlite.globs import parse_glob


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("*.md", "docs/deep/a.md", True),
        ("docs/*.md", "docs/deep/a.md", False),
        ("docs/**/*.md", "docs/a.md", True),
        ("docs/**/*.md", "docs/x/y/a.md", True),
        ("docs", "docs/x/a.md", True),
        ("docs/", "docs", False),
        ("/docs", "src/docs/a.md", False),
        ("docs/*", "docs/x/y/a.md", True),
        ("?.md", "é.md", True),
        ("[àéè]*.md", "été.md", True),
        ("*été*", "un été.md", True),
        ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/d/page.tsx", True),
        ("app/\\[id\\]/page.tsx", "app/d/page.tsx", False),
        ("[slug]/**", "[slug]/a/b.ts", True),
        ("notes/[draft", "notes/[draft", True),
        ("[next-auth]/*.ts", "[next-auth]/a.ts", True),
        ("!*.md", "a.md", False),
        ("!*.md", "a.txt", True),
        ("#*#", "#a#", True),
        ("a b.md", "x/a b.md", True),
        ("src\\app\\*.ts", "src/app/a.ts", True),
        ("*", "any/thing", True),
    ],
)
def test_a_glob_matches_a_path(glob: str, path: str, *, matches: bool) -> None:
    assert parse_glob(glob).matches(path) is matches


def test_a_file_matches_by_any_of_its_paths_and_is_excluded_by_any() -> None:
    assert parse_glob("src/**").matches("a.py", "src/a.py")
    assert not parse_glob("!src/**").matches("a.py", "src/a.py")


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 12 + "b", "a" * 30),
        ("*a" * 60 + "b", "a" * 250),
        ("**/a/" * 40 + "b", "a/" * 400 + "c"),
        ("*?a" * 40 + "[b]", "a" * 250),
        ("{*a*a,*a*a*a}" * 5, "a" * 200),
    ],
)
def test_matching_any_glob_is_fast(glob: str, path: str) -> None:
    parsed = parse_glob(glob)
    began = time.process_time()
    assert parsed.matches(path) is glob.startswith("{")
    assert time.process_time() - began < 1
