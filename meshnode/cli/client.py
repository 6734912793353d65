"""Asks a running hub over its control socket; blocking, standard library only."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import click

NOT_RUNNING = 3
ANSWER_BYTES_MAX = 64 << 20


class NotRunning(click.ClickException):
    """No hub answers; exit code 3."""

    exit_code = NOT_RUNNING


def ask(state_dir: Path, request: dict[str, object], *, timeout_s: float = 5.0) -> dict[str, object]:
    """The hub's answer.

    Raises:
        NotRunning: nobody listens on the control socket.
        ClickException: the hub refused the request.
    """
    path = state_dir / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(os.fsencode(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            answer = _line(sock)
        except (OSError, ValueError, TypeError) as fault:
            raise NotRunning(f"no hub is running in {state_dir} ({fault})") from fault
    if "error" in answer:
        raise click.ClickException(str(answer["error"]))
    return answer


def _line(sock: socket.socket) -> dict[str, object]:
    parts: list[bytes] = []
    size = 0
    while not (parts and parts[-1].endswith(b"\n")):
        part = sock.recv(1 << 16)
        size += len(part)
        if not part or size > ANSWER_BYTES_MAX:
            raise ValueError("the hub's answer ended early")
        parts.append(part)
    answer = json.loads(b"".join(parts))
    if not isinstance(answer, dict):
        raise TypeError("the hub's answer is not an object")
    return answer
