"""Paths as clients and the catalogue compare them."""

import os
from pathlib import Path

import pytest

from allma_server._internal.paths import absolute, is_inside

ROOT = os.path.abspath(os.sep)


def under_root(*parts: str) -> str:
    return os.path.join(ROOT, *parts)


def test_a_path_is_made_absolute_whether_or_not_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("notes/../plans") == str(tmp_path / "plans")
    assert absolute("~") == str(Path.home())


@pytest.mark.parametrize(
    ("path", "folder", "inside"),
    [
        (under_root("a", "b"), under_root("a"), True),
        (under_root("a"), under_root("a"), True),
        (under_root("a"), ROOT, True),
        (under_root("a"), under_root("a", "b"), False),
        (under_root("ab"), under_root("a"), False),
    ],
)
def test_a_folder_contains_itself_and_everything_below(
    path: str, folder: str, inside: bool
) -> None:
    assert is_inside(path, folder) is inside
