"""Hubs that start at once: one process loads the program, and every hub is a fork of it.

Loading the program costs a hub most of a second of CPU time, and two dozen hubs on two cores would spend ten seconds
on the same work. Each fork is a hub process like any other: a session, an environment and pipes of its own; only the
loaded code is shared. Requests go over a socket pair, with the hub's standard streams as file descriptors (unix(7),
SCM_RIGHTS), and the answer brings the hub's pidfd (pidfd_open(2)), opened before anybody can reap it: signals never
reach somebody else's process. The loader ends with its socket.
Invariants: the loader has one thread and no open file of its own but the socket when it forks; a request and its
answer are one step, which no cancellation parts.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from types import FrameType
from typing import Final

import trio

from protocol.errors import MeshError

REQUEST_BYTES_MAX: Final = 1 << 16
_FD_BYTES: Final = 4
_HUB_ENDED: Final = frozenset({signal.SIGCHLD})
LOADED: Final = ("meshnode.cli.run", "meshnode.discovery.mdns", "meshnode.sensing.replay")
"""What a hub would load; its command imports them late so that other commands start quickly."""


class BroodError(MeshError):
    """The loader has ended."""


class Forked:
    """A running hub; has what is used of ``trio.Process``."""

    def __init__(self, pid: int, pidfd: int, stdin: trio.abc.SendStream, stdout: trio.lowlevel.FdStream) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._pidfd = pidfd

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        if self._pidfd >= 0 and select.select([self._pidfd], [], [], 0)[0]:
            self._close()
        return self._pidfd >= 0

    async def wait(self) -> None:
        """Until it has ended."""
        if self.running:
            await trio.lowlevel.wait_readable(self._pidfd)
            self._close()

    def terminate(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.running:
            signal.pidfd_send_signal(self._pidfd, number)

    def _close(self) -> None:
        os.close(self._pidfd)
        self._pidfd = -1


class Brood:
    """The loader, as seen by whoever wants hubs; it begins with the first of them and lasts until ``close``."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._turn = trio.Lock()
        self._socket: trio.socket.SocketType | None = None
        self._loader: trio.Process | None = None

    async def _open(self) -> trio.socket.SocketType:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = trio.socket.from_stdlib_socket(here)
        with there:
            self._loader = await trio.lowlevel.open_process(
                [sys.executable, "-m", "meshnode.demo.brood", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                env=self._environ,
                pass_fds=[there.fileno()],
                start_new_session=True,  # Ctrl-C reaches whoever asked for the hubs, who then ends them
            )
        return self._socket

    async def close(self) -> None:
        """End the loader; hubs go on."""
        if self._socket is not None:
            self._socket.close()
        if self._loader is not None:
            await self._loader.wait()
        self._socket = self._loader = None

    async def start(self, arguments: list[str], log: int) -> Forked:
        """A hub that runs ``meshnode`` with ``arguments`` and logs to the file descriptor ``log``.

        Raises:
            BroodError: the loader has ended.
        """
        child_in, our_in = os.pipe()
        our_out, child_out = os.pipe()
        stdin, stdout = trio.lowlevel.FdStream(our_in), trio.lowlevel.FdStream(our_out)
        try:
            async with self._turn:
                with trio.CancelScope(shield=True):
                    loader = self._socket if self._socket is not None else await self._open()
                    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _packed(child_in, child_out, log))]
                    await loader.sendmsg([json.dumps(arguments).encode()], ancillary)
                    pid, rights, _, _ = await loader.recvmsg(64, socket.CMSG_LEN(_FD_BYTES), socket.MSG_CMSG_CLOEXEC)
        except OSError as fault:
            raise BroodError(f"the loader of hubs has ended: {fault}") from fault
        finally:
            os.close(child_in)
            os.close(child_out)
        if not rights:
            raise BroodError("the loader of hubs has ended")
        return Forked(int(pid), int.from_bytes(rights[0][2][:_FD_BYTES], sys.byteorder), stdin, stdout)


def _packed(*descriptors: int) -> bytes:
    return b"".join(number.to_bytes(_FD_BYTES, sys.byteorder) for number in descriptors)


def serve(descriptor: int) -> None:
    """Fork hubs until the socket ends; returns in the loader only."""
    for module in LOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a hub does not touch, and so does not copy, what all of them share
    signal.signal(signal.SIGCHLD, _reap)
    with socket.socket(fileno=descriptor) as asked:
        while True:
            try:
                request, streams, _, _ = socket.recv_fds(asked, REQUEST_BYTES_MAX, 3)
            except OSError:
                return
            if not request:
                return
            signal.pthread_sigmask(signal.SIG_BLOCK, _HUB_ENDED)
            pid = os.fork()
            if pid == 0:
                asked.close()
                _become_hub(json.loads(request), streams)
            pidfd = os.pidfd_open(pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HUB_ENDED)
            with contextlib.suppress(BrokenPipeError):  # whoever asked has gone; the hub's standard input says so to it
                socket.send_fds(asked, [str(pid).encode()], [pidfd])
            for opened in (pidfd, *streams):
                os.close(opened)


def _reap(_number: int, _frame: FrameType | None) -> None:
    """Hubs that have ended are nobody's zombies."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_hub(arguments: list[str], streams: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HUB_ENDED)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    from meshnode.cli.main import main

    main(arguments, prog_name="meshnode")  # ends the process


if __name__ == "__main__":
    serve(int(sys.argv[1]))
