"""Where the demonstration puts its hubs when the usual place is too long, or cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshnode.control import socket_path
from meshnode.demo.crowd import DemoError
from meshnode.demo.folder import ROOT_BYTES_MAX, private_folder

HUBS_MAX = 64


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path of a few bytes, which pytest's own may not have."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    yield place
    shutil.rmtree(place)


def deep(place: Path, size: int) -> Path:
    """A folder under ``place`` whose path has that many bytes."""
    made = place / ("d" * (size - len(os.fsencode(place)) - 1))
    made.mkdir()
    assert len(os.fsencode(made)) == size
    return made


@pytest.mark.parametrize("over", [0, 1, 100])
def test_the_folder_is_in_the_usual_place_if_every_socket_fits_there_and_else_in_a_shorter_one(
    short: Path, monkeypatch: pytest.MonkeyPatch, over: int
) -> None:
    usual = deep(short, ROOT_BYTES_MAX + over)
    monkeypatch.setattr(tempfile, "tempdir", str(usual))
    made = private_folder()
    try:
        assert (made.parent == usual) is (over == 0)
        assert list(usual.iterdir()) == ([made] if over == 0 else [])
        assert made.stat().st_mode & 0o777 == 0o700
        assert socket_path(made / f"h{HUBS_MAX - 1}").parent.parent == made  # raises if it is too long
    finally:
        made.rmdir()


def test_the_runtime_place_is_used_when_no_other_can_be_written(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp

    def refuse(prefix: str, dir: str) -> str:
        if dir != str(short):
            raise OSError(errno.EROFS, "Read-only file system", dir)
        return make(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    assert private_folder().parent == short
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(DemoError, match=f"at most {ROOT_BYTES_MAX} bytes.*set TMPDIR") as caught:
        private_folder()
    assert "\n" not in str(caught.value)
