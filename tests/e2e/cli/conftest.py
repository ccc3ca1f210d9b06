"""Homes with and without indexed documents."""

import os
import re
from collections.abc import Iterator

import pytest

from tests.e2e.cli.home import SCRIPTED, Allma, Home, furnished, in_this_process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Create a home without indexed documents."""
    yield from furnished(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def talking_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Create a home with a chat model."""
    for home in furnished(tmp_path_factory.mktemp("talking"), **SCRIPTED):
        assert home.run("index", "docs").returncode == 0
        yield home


@pytest.fixture(scope="module")
def home(folder: Home) -> Home:
    """Index the documents of the home."""
    home = folder
    done = home.run("index", "docs")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^new +2$", done.stdout, re.M)
    assert f"docs{os.sep}broken.docx\n    " in done.stdout
    return home


@pytest.fixture
def bare(folder: Home, monkeypatch: pytest.MonkeyPatch) -> Allma:
    return in_this_process(folder, monkeypatch)


@pytest.fixture
def talking(talking_home: Home, monkeypatch: pytest.MonkeyPatch) -> Allma:
    return in_this_process(talking_home, monkeypatch)


@pytest.fixture
def allma(bare: Allma, home: Home) -> Allma:
    """The same, with indexed documents."""
    return bare
