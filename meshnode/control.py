"""The control socket: a Unix socket that only this hub's owner can open, one JSON object a line each way.

Invariants: a request has at most 4 MiB; an unknown or malformed one gets an error object and costs nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from meshnode import glitches, stories, trusting, view
from meshnode.transport.greeting import receive, send_all
from meshnode.transport.tcp import SCARCE
from protocol.errors import StoreError, TransportError

if TYPE_CHECKING:
    from meshnode.daemon import Hub

REQUEST_BYTES_MAX = 4 << 20
"""A story of two megabytes, escaped; only the owner can open the socket."""
PATH_BYTES_MAX = 107
CLIENTS_MAX = 16
READ_BYTES = 16_384


def socket_path(state_dir: Path) -> Path:
    """Where the control socket of a state directory is.

    Raises:
        StoreError: the path is longer than the kernel allows.
    """
    path = state_dir / "control.sock"
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise StoreError(f"{path} is longer than {PATH_BYTES_MAX} bytes: set hub.state_dir to a shorter path")
    return path


async def serve_control(hub: Hub, path: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Answer until cancelled; the socket file is removed at the end."""
    path = socket_path(path.parent)
    path.unlink(missing_ok=True)  # the state directory's lock says that no daemon lives there
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        before = os.umask(0o177)
        try:
            listener.bind(os.fsencode(path))
        finally:
            os.umask(before)
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
        listener.listen(CLIENTS_MAX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, hub, listener, trio.Semaphore(CLIENTS_MAX), nursery)
            task_status.started()
    finally:
        listener.close()
        path.unlink(missing_ok=True)


async def _serve(hub: Hub, listener: socket.socket, places: trio.Semaphore, nursery: trio.Nursery) -> None:
    """Take the next asker, let a successor wait for the one after it, and answer: from question to answer it is one
    turn of the loop where it can be, because on a busy hub turns are long."""
    try:
        places.acquire_nowait()
    except trio.WouldBlock:
        await places.acquire()
    try:
        with await _accept(listener) as client:
            nursery.start_soon(_serve, hub, listener, places, nursery)
            client.setblocking(False)
            with contextlib.suppress(TransportError):
                await _converse(hub, client)
    finally:
        places.release()


async def _accept(listener: socket.socket) -> socket.socket:
    while True:
        try:
            return listener.accept()[0]
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener)
        except OSError as fault:
            if fault.errno not in SCARCE:
                raise
            await trio.sleep(0.1)  # out of descriptors or memory: the hub goes on, the asker waits


async def _converse(hub: Hub, client: socket.socket) -> None:
    buffer = b""
    while True:
        while b"\n" not in buffer:
            chunk = await receive(client, READ_BYTES)
            if not chunk or len(buffer) > REQUEST_BYTES_MAX:
                return
            buffer += chunk
        line, _, buffer = buffer.partition(b"\n")
        await send_all(client, json.dumps(await answer(hub, line)).encode() + b"\n")


async def answer(hub: Hub, line: bytes) -> dict[str, object]:
    """The answer to one request line; never raises."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {"error": "a request is one JSON object a line"}
    if not isinstance(request, dict):
        return {"error": "a request is a JSON object"}
    command = request.get("cmd")
    if command == "status":
        return view.status(hub)
    if isinstance(command, str) and command.startswith("story."):
        return await stories.answer(hub, command, request)
    if isinstance(command, str) and command.startswith("glitch."):
        return glitches.answer(hub, command, request)
    if isinstance(command, str) and command.startswith("trust."):
        return await trusting.answer(hub, command, request)
    if isinstance(command, str) and command.startswith("lab."):
        return _lab(hub, command, request)
    return {"error": f"unknown command {str(command)[:64]!r}"}


def _lab(hub: Hub, command: str, request: dict[str, object]) -> dict[str, object]:
    if hub.lab is None or hub.recorder is None:
        return {"error": "this hub was not started with --lab"}
    if hub.rehearsals.now is not None and command in ("lab.cut", "lab.heal"):
        return {"error": "a rehearsal goes on: end it with `meshnode glitch inject stop`"}
    if command == "lab.cut":
        authors, ports = request.get("authors"), request.get("ports")
        if not isinstance(authors, list) or not isinstance(ports, list):
            return {"error": "lab.cut needs lists 'authors' and 'ports'"}
        try:
            beyond = [bytes.fromhex(author) for author in authors]
        except (TypeError, ValueError):
            return {"error": "'authors' are hex ids"}
        hub.lab.cut(beyond, [port for port in ports if isinstance(port, int)])
        return {"cut": len(beyond)}
    if command == "lab.heal":
        hub.lab.heal()
        if hub.mdns is not None:
            hub.mdns.offer_again()
        return {"cut": 0}
    if command == "lab.record":
        return hub.recorder.dump()
    return {"error": f"unknown command {command[:64]!r}"}
