"""Logs for people and for machines, and the last events for whoever asks.

Text to standard error, or one JSON object a line; never a key, never a value of a person.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from collections.abc import Callable
from typing import Literal

from meshnode.clock import boot_us, utc_ms
from protocol.effects import Event, LinkNews
from protocol.ids import short

LOG = logging.getLogger("meshnode")
EVENTS_MAX = 256


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "utc_ms": utc_ms(),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["fault"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(form: Literal["text", "json"], level: str) -> None:
    """Configure the daemon's one logger; called once by the CLI."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else logging.Formatter("%(levelname)-7s %(message)s"))
    LOG.handlers[:] = [handler]
    LOG.propagate = False
    LOG.setLevel(level.upper())


def say(event: str, message: str, *, level: int = logging.INFO, **fields: object) -> None:
    """One log line with machine-readable fields."""
    LOG.log(level, message, extra={"event": event, "fields": fields})


class Events:
    """Keeps the last link news, counts what was shown, and tells ``listeners``, which must return at once."""

    def __init__(self) -> None:
        self.recent: deque[dict[str, object]] = deque(maxlen=EVENTS_MAX)
        self.shown = 0
        self.listeners: list[Callable[[Event], None]] = []

    def observe(self, event: Event) -> None:
        """Take one piece of news from the Node."""
        if isinstance(event, LinkNews):
            entry: dict[str, object] = {
                "at_us": boot_us(),
                "kind": "link",
                "peer": event.peer.hex(),
                "up": event.up,
                "reason": event.reason,
            }
            self.recent.append(entry)
            verb = "linked with" if event.up else "lost"
            why = f" ({event.reason})" if event.reason else ""
            say("link", f"{verb} {short(event.peer)}{why}", peer=event.peer.hex(), up=event.up, reason=event.reason)
        else:
            self.shown += 1
        for listener in self.listeners:
            listener(event)
