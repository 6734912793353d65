"""Where the demonstration keeps the state of its hubs: a private folder whose path leaves room for their sockets.

Source: unix(7): the path of a Unix socket has 107 bytes at most, and a temporary folder can be longer than that.
Invariant: the folder is new, has mode 0700, and fits the control socket of every hub of the largest demonstration.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

from meshnode.control import PATH_BYTES_MAX
from meshnode.demo.crowd import DemoError

PREFIX: Final = "meshnode-demo-"
RANDOM_CHARS: Final = 8
"""What mkdtemp adds to the prefix."""
LONGEST: Final = f"/{PREFIX}{'x' * RANDOM_CHARS}/h63/control.sock"
ROOT_BYTES_MAX: Final = PATH_BYTES_MAX - len(LONGEST)


def private_folder() -> Path:
    """A new folder in the usual place for temporary ones or, if that is too long, under ``/tmp`` or the runtime place.

    Raises:
        DemoError: none of them can be used; says what to do.
    """
    for root in _roots():
        if len(os.fsencode(root)) <= ROOT_BYTES_MAX:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    raise DemoError(
        f"no folder for temporary files can be written and has a path of at most {ROOT_BYTES_MAX} bytes, so that the "
        "sockets of the hubs fit: set TMPDIR to one"
    )


def _roots() -> list[str]:
    """In the order of preference."""
    roots: list[str] = []
    with contextlib.suppress(FileNotFoundError):  # no place at all can be written
        roots.append(tempfile.gettempdir())
    return [*roots, "/tmp", *filter(None, [os.environ.get("XDG_RUNTIME_DIR")])]  # noqa: S108 - mkdtemp is safe there
