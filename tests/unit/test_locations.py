"""Paths of settings, data and the socket."""

import os
import socket
import sys
from pathlib import Path

import pytest

from allma_server import locations
from allma_server.config import read_file
from allma_server.errors import InvalidArgument


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has runtime folders")
def test_clients_without_the_runtime_folder_use_the_same_socket(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = short_path / str(os.getuid())
    runtime.mkdir(0o700)
    monkeypatch.setattr(locations, "RUNTIME_FOLDERS", short_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    reported = locations.socket_path(short_path / "data")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert locations.socket_path(short_path / "data") == reported


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sockets with paths")
@pytest.mark.parametrize("variable", ["HOME", "XDG_RUNTIME_DIR"])
@pytest.mark.parametrize("has_runtime_folder", [True, False])
def test_a_long_socket_path_is_replaced_by_a_short_private_one(
    short_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, has_runtime_folder: bool
) -> None:
    short = short_path / "short"
    (long := short_path / ("long" * 30)).mkdir()
    (short / str(os.getuid())).mkdir(0o700, parents=True)
    monkeypatch.setattr(locations, "RUNTIME_FOLDERS", short if has_runtime_folder else long)
    monkeypatch.setattr(locations, "SHORT_FOLDER", short)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    if variable == "HOME":
        monkeypatch.setattr(locations, "RUNTIME_FOLDERS", long)
    monkeypatch.setenv(variable, str(long))
    place = locations.socket_path(short_path / "data")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
    place.unlink()
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert place != locations.socket_path(short_path / "other-data")
    monkeypatch.setenv("TMPDIR", str(long))  # what differs between an editor and a shell
    assert locations.socket_path(short_path / "data") == place


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sockets with paths")
def test_a_short_folder_that_is_a_link_is_not_used(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short_path / "theirs").mkdir()
    (short_path / f"allma-{os.getuid()}").symlink_to(short_path / "theirs")
    monkeypatch.setattr(locations, "RUNTIME_FOLDERS", short_path / "none")
    monkeypatch.setattr(locations, "SHORT_FOLDER", short_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / ("long" * 30)))
    with pytest.raises(PermissionError):
        locations.socket_path(short_path / "data")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are files on POSIX")
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a huge file"])
def test_a_special_file_as_settings_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tmp_path / "config.toml"
    if kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as opened:
            opened.truncate(locations.LARGEST_CONFIG + 1)
    monkeypatch.setenv("ALLMA_CONFIG", str(file))
    monkeypatch.delenv("ALLMA_DATA_DIR", raising=False)
    assert locations.data_dir() == locations.default_data_dir()
    with pytest.raises(InvalidArgument, match="regular file|larger than") as refused:
        read_file(file)
    assert refused.value.hint == "Correct or remove it."
