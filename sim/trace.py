"""What happened, in order: a running digest of every step of a world, and its lines if somebody wants to read them.

A step is (now, node, input, effects). Its line leaves out signatures, the only bytes in which the real and the stub
crypto lane differ; frames are written as the messages in them, so the wire and the object lane agree as well.
Invariant: equal digests mean equal lines, and a line depends on nothing but what the step says (no address, no hash
salt, no Python version).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from hashlib import blake2b
from itertools import zip_longest
from typing import Final, TextIO

from protocol.clock import Instant
from protocol.effects import Effect, Emit, Send, SetTimer, ValueShown
from protocol.inputs import Input, LinkWritable, MessagesReceived, TimerFired
from protocol.wire.messages import Beat, Clock, Digest, Graft, Hello, Neighbors, Prune, Vector

_BYTES_SHOWN: Final = 16
_UNSHOWN: Final = frozenset({"signature"})


class Trace:
    """Takes steps; ``out``, if given, gets one JSON object a line."""

    __slots__ = ("_hash", "_out", "steps")

    def __init__(self, out: TextIO | None = None) -> None:
        self._hash = blake2b(digest_size=16)
        self._out = out
        self.steps = 0

    def record(self, now: Instant, node: str, input: Input, effects: Sequence[Effect]) -> None:
        """One step of one node."""
        self.steps += 1
        came, went = words(input), [words(effect) for effect in effects]
        self._hash.update(f"{now}\t{node}\t{came}\t{';'.join(went)}\n".encode())
        if self._out is not None:
            self._out.write(json.dumps({"now": now, "node": node, "input": came, "effects": went}) + "\n")

    def note(self, now: Instant, what: str) -> None:
        """Something the world did that no node was told of: a cut, a crash."""
        self._hash.update(f"{now}\t\t{what}\n".encode())
        if self._out is not None:
            self._out.write(json.dumps({"now": now, "node": "", "input": what, "effects": []}) + "\n")

    def digest(self) -> str:
        """32 hex digits of everything so far."""
        return self._hash.copy().hexdigest()


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two traces part; None where one has ended. ``line`` counts from 1."""

    line: int
    left: str | None
    right: str | None


def diff(left: Iterable[str], right: Iterable[str]) -> Difference | None:
    """The first line that differs, or None if the traces are the same."""
    for number, (one, other) in enumerate(zip_longest(left, right), start=1):
        if one != other:
            return Difference(number, one, other)
    return None


def words(thing: object) -> str:
    """A value as text: the same for equal values in every process."""
    known = _WORDS.get(type(thing))
    if known is not None:
        return known(thing)
    if isinstance(thing, Enum):
        return str(thing.name)
    if isinstance(thing, bytes):
        return bytes_words(thing)
    if isinstance(thing, tuple):
        return "[" + ",".join([words(item) for item in thing]) + "]"
    if is_dataclass(thing):
        names = _FIELDS.get(type(thing))
        if names is None:
            names = _FIELDS[type(thing)] = tuple(f.name for f in fields(thing) if f.name not in _UNSHOWN)
        return type(thing).__name__ + "(" + ",".join([words(getattr(thing, name)) for name in names]) + ")"
    return repr(thing)


def bytes_words(data: bytes) -> str:
    """Short bytes in hex, long ones by their digest."""
    if len(data) <= _BYTES_SHOWN:
        return data.hex()
    return "#" + blake2b(data, digest_size=8).hexdigest()


def _messages(messages: tuple[object, ...]) -> str:
    return ",".join([words(message) for message in messages])


def _hello(hello: Hello) -> str:
    where = "" if hello.addresses is None else bytes_words(hello.addresses[0])
    return f"Hello({hello.boot},{where},{hello.agent})"


_FIELDS: dict[type, tuple[str, ...]] = {}
# The frequent ones are written out: the generic way costs four times as much.
_WORDS: Final[dict[type, Callable[..., str]]] = {
    int: repr,
    str: str,
    bool: repr,
    type(None): lambda _: "-",
    Hello: _hello,
    Beat: lambda _: "Beat",
    Digest: lambda d: "Digest(" + ",".join([f"{e.tag.hex()}:{e.rotation}.{e.boot}.{e.seq}" for e in d.entries]) + ")",
    Prune: lambda p: f"Prune({bytes_words(b''.join(p.tags))})",
    Graft: lambda g: f"Graft({bytes_words(b''.join(g.tags))})",
    Neighbors: lambda n: f"Neighbors({bytes_words(b''.join(n.authors))})",
    Clock: lambda c: f"Clock({c.sent_ms})",
    Vector: lambda v: f"Vector({bytes_words(v.signed)},{v.age_ms})",
    Send: lambda s: f"Send({s.link},{_messages(s.messages)})",
    MessagesReceived: lambda m: f"Received({m.link},{_messages(m.messages)})",
    LinkWritable: lambda w: f"Writable({w.link})",
    SetTimer: lambda t: f"SetTimer({'/'.join(t.key)},{t.at})",
    TimerFired: lambda t: f"TimerFired({'/'.join(t.key)})",
    Emit: lambda e: f"Emit({words(e.event)})",
    ValueShown: lambda v: f"Shown({v.author.hex()},{v.boot},{v.seq})",
}
