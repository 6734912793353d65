"""TCP between hubs.

Small send buffers, because latest-value data must wait in the coalescing map and not in the kernel (design decision
13); no Nagle, because a frame is already as large as it will get.
"""

from __future__ import annotations

import contextlib
import errno
import socket

import trio

from meshnode.transport.base import OnAccept
from protocol.errors import TransportError
from protocol.inputs import Address

SEND_BUFFER_BYTES = 32_768
RECEIVE_BUFFER_BYTES = 131_072
BACKLOG = 128
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""What accept says when the system has run out of something; it passes."""


def tune(sock: socket.socket) -> None:
    """Make ``sock`` non-blocking and set what latest-value streams want."""
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def local_host(sock: socket.socket) -> str | None:
    """The address of this host that a connection hangs on, as a bare IP literal; None if it has none."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    host = str(sock.getsockname()[0]).partition("%")[0]
    return host.removeprefix("::ffff:")  # IPv4 over a listener of both families


def remote_host(sock: socket.socket) -> str:
    """The host at the other end, as a listener would name it; empty if it has none."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""  # it is gone already


class Tcp:
    """The real network."""

    async def dial(self, address: Address) -> socket.socket:
        """A connected socket; cancellable, and closed if cancelled.

        Raises:
            TransportError: name resolution or the connection failed.
        """
        host, port = address
        try:
            family, target = _literal(host, port) or await _looked_up(host, port)
            sock = socket.socket(family, socket.SOCK_STREAM)
        except (OSError, ValueError) as fault:  # a name that cannot be encoded is a ValueError
            raise TransportError(f"{host}:{port}: {fault}") from fault
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            tune(sock)
            code = sock.connect_ex(target)
            if code == errno.EINPROGRESS:
                await trio.lowlevel.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code != 0:
                raise OSError(code, errno.errorcode.get(code, "error"))
        except OSError as fault:
            sock.close()
            raise TransportError(f"{host}:{port}: {fault.strerror or fault}") from fault
        except BaseException:
            sock.close()
            raise
        return sock

    async def listen(
        self,
        host: str,
        port: int,
        on_accept: OnAccept,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled; running out of descriptors pauses, it does not end."""
        with _bind(host, port) as listener:
            bound = listener.getsockname()
            task_status.started((bound[0], bound[1]))
            while True:
                await trio.lowlevel.wait_readable(listener)
                if not _accept_all(listener, on_accept):
                    await trio.sleep(0.1)


def _literal(host: str, port: int) -> tuple[int, tuple[object, ...]] | None:
    """What to connect to if ``host`` is an address already: nearly every dial, and not worth a resolver's time."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return family, (host, port)
    return None


async def _looked_up(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    infos = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, target = infos[0]
    return family, target


def _accept_all(listener: socket.socket, on_accept: OnAccept) -> bool:
    """Take everybody who waits, so that a crowd at the door costs no turn of the loop each; False if the system has
    run out of something."""
    for _ in range(BACKLOG):
        try:
            sock, remote = listener.accept()
        except BlockingIOError:
            break
        except OSError as fault:
            if fault.errno in SCARCE:
                return False
            continue  # the connection died in the queue
        tune(sock)
        on_accept(sock, str(remote[0]))
    return True


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as fault:
        raise TransportError(f"cannot listen on {host}:{port}: {fault.strerror or fault}") from fault
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        if host == "::" and fault.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return _bind("0.0.0.0", port)  # noqa: S104 - a host without IPv6
        raise TransportError(f"cannot listen on {host}:{port}: {fault.strerror or fault}") from fault
    listener.setblocking(False)
    return listener
