"""Hubs as children of a process that has loaded everything already, so that two dozen begin at once on two cores.

Loading costs a hub more processor time than all the rest of its start. A child has its own session, streams,
environment and memory from the fork on; what it shares with the others is the code as it was loaded. It must be forked
before there is a thread or an event loop. Linux (pidfd, 5.3); elsewhere hubs are started as commands.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

LAST_DESCRIPTOR = 65_536
"""No process that we come from has more open; closing what is not open costs nothing."""
HUB_COMM = "meshnode-hub"
"""What ``ps`` and ``top`` call a hub; at most 15 letters."""


def can_fork() -> bool:
    """Whether this system lets us wait for a child without a thread."""
    return hasattr(os, "pidfd_open") and hasattr(os, "fork")


@dataclass(frozen=True, slots=True)
class Forked:
    """A hub that has just begun: its process id, and our ends of its standard input and output."""

    pid: int
    stdin: int
    stdout: int


def fork_hub(arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> Forked:
    """Start ``meshnode`` with these arguments in a child; its standard error goes to ``log``."""
    import meshnode.cli.run  # noqa: F401 - what the children share

    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _become_hub(arguments, (theirs_in, theirs_out, errors), environ)
    os.close(theirs_in)
    os.close(theirs_out)
    return Forked(pid, ours_in, ours_out)


def end_forked(forked: Forked) -> None:
    """End a hub that nobody has listened to, without an event loop."""
    os.kill(forked.pid, signal.SIGKILL)
    os.waitpid(forked.pid, 0)
    os.close(forked.stdin)
    os.close(forked.stdout)


def _become_hub(arguments: Sequence[str], streams: Sequence[int], environ: Mapping[str, str]) -> None:
    """Never returns: whatever is still on the stack belongs to the parent."""
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(len(streams), LAST_DESCRIPTOR)
        Path("/proc/self/comm").write_text(HUB_COMM)
        os.environ.clear()
        os.environ.update(environ)
        from meshnode.cli.main import main

        main(list(arguments), standalone_mode=True)
    finally:
        kind, fault, trace = sys.exc_info()
        if isinstance(fault, SystemExit):
            code = fault.code if isinstance(fault.code, int) else int(fault.code is not None)
        elif kind is not None and fault is not None:
            sys.excepthook(kind, fault, trace)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Child:
    """A forked hub as a crowd sees it: as much of :class:`trio.Process` as it uses. Make it inside the loop."""

    def __init__(self, forked: Forked) -> None:
        self.pid = forked.pid
        self.stdin = trio.lowlevel.FdStream(forked.stdin)
        self.stdout = trio.lowlevel.FdStream(forked.stdout)
        self.returncode: int | None = None
        self._pidfd = os.pidfd_open(forked.pid)

    async def wait(self) -> int:
        """Until it has ended; its exit code, or minus the signal that ended it."""
        if self.returncode is None:
            await trio.lowlevel.wait_readable(self._pidfd)
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._pidfd)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to leave."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
