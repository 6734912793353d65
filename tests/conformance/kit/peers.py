"""A link to the hub under test, seen from our end: a thread reads, keeps beating, and watches what the hub sends.

Whatever the hub sends on any link is held against the document in passing (:class:`Watch`): frames must decode, HELLO
comes first, vectors and events come after their keys, verified, vectors with leave to be relayed and younger than their
lease.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from tests.conformance.reference.codec import Refused
from tests.conformance.reference.crypto import verify
from tests.conformance.reference.events import decode_event
from tests.conformance.reference.keystates import Identity, KeyState, decode_key_state, key_at
from tests.conformance.reference.lasting import EventMessage, Gossip
from tests.conformance.reference.messages import (
    Beat,
    Bye,
    Clock,
    Hello,
    Keys,
    Message,
    Ping,
    Pong,
    VectorMessage,
    decode_frame,
    decode_gossip,
    encode_frame,
)
from tests.conformance.reference.records import MAY_RELAY, Ignored, Vector, decode_vector
from tests.conformance.reference.sessions import Session
from tests.conformance.reference.stream import Closed, Late
from tests.conformance.reference.weather import entropy, now

BEAT_SECONDS: Final = 0.7
M = TypeVar("M", bound=Message)


@dataclass(slots=True)
class Watch:
    """Faults seen in passing, as (requirement, what); and whether the hub vouches for a date."""

    faults: list[tuple[str, str]] = field(default_factory=list)
    dated: bool = False

    def note(self, requirement: str, what: str) -> None:
        """Remember a fault."""
        self.faults.append((requirement, what))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message and when it came."""

    at: float
    message: Message


class Peer:
    """One link as one of our identities. Close it with :meth:`leave`."""

    def __init__(self, session: Session, identity: Identity, watch: Watch, seconds: float) -> None:
        self.session = session
        self.identity = identity
        self.hub = session.peer.author
        self.arrivals: list[Arrival] = []
        self.closed = False
        self.bye: int | None = None
        self.seconds = seconds
        self._watch = watch
        self._greeted = False
        self._states: dict[bytes, KeyState] = {session.peer.author: session.peer}
        self._said_at = now()
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._leaving = False
        self._learn(identity.key_state)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    # --- speaking -----------------------------------------------------------------------------------------------

    def send(self, *messages: Message) -> None:
        """Send messages in one frame; nothing happens if the link is closed."""
        for message in messages:
            if isinstance(message, Keys):
                self._learn(message.key_state)
        self.send_plain(encode_frame(messages))

    def send_plain(self, plaintext: bytes) -> None:
        """Send a frame with this plaintext, whatever it is."""
        with self._sending:
            self._send_body(self.session.channel.sending.seal(plaintext))

    def send_many(self, plaintext: bytes, count: int) -> None:
        """Send the same plaintext in ``count`` frames, gathered into large writes."""
        with self._sending:
            while count:
                some = min(count, 512)
                bodies = [self.session.channel.sending.seal(plaintext) for _ in range(some)]
                self._send_raw(b"".join(len(body).to_bytes(2, "big") + body for body in bodies))
                count -= some

    def send_body(self, change: Callable[[bytes], bytes], plaintext: bytes) -> None:
        """Seal a frame, change its body, send that."""
        with self._sending:
            self._send_body(change(self.session.channel.sending.seal(plaintext)))

    def send_raw(self, data: bytes) -> None:
        """Send bytes past framing and channel."""
        with self._sending:
            self._send_raw(data)

    def _send_body(self, body: bytes) -> None:
        self._send_raw(len(body).to_bytes(2, "big") + body)

    def _send_raw(self, data: bytes) -> None:
        self._said_at = now()
        try:
            self.session.stream.send(data)
        except Closed:
            return  # the reader sees it too, and says so

    # --- listening ----------------------------------------------------------------------------------------------

    def wait(self, kind: type[M], fits: Callable[[M], bool], within: float | None = None, since: int = 0) -> M | None:
        """The first message of this kind that fits, from index ``since`` on; None if there is none in time."""
        arrival = self.wait_arrival(kind, fits, within, since)
        if arrival is None:
            return None
        assert isinstance(arrival.message, kind)
        return arrival.message

    def wait_arrival(
        self, kind: type[M], fits: Callable[[M], bool], within: float | None = None, since: int = 0
    ) -> Arrival | None:
        """The same, with its time."""
        return self.wait_any(lambda message: isinstance(message, kind) and fits(message), within, since)

    def wait_any(self, fits: Callable[[Message], bool], within: float | None = None, since: int = 0) -> Arrival | None:
        """The first message of whatever kind that fits."""
        deadline = now() + (self.seconds if within is None else within)
        at = since
        with self._changed:
            while True:
                for arrival in self.arrivals[at:]:
                    if fits(arrival.message):
                        return arrival
                at = max(since, len(self.arrivals))
                left = deadline - now()
                if self.closed or left <= 0:
                    return None
                self._changed.wait(left)

    def all(self, kind: type[M], fits: Callable[[M], bool] = lambda _: True) -> list[tuple[float, M]]:
        """Every message of a kind so far, with its time."""
        with self._changed:
            found = [(arrival.at, arrival.message) for arrival in self.arrivals]
        return [(at, message) for at, message in found if isinstance(message, kind) and fits(message)]

    def mark(self) -> int:
        """How many messages have come: pass it as ``since`` to look at later ones only."""
        with self._changed:
            return len(self.arrivals)

    def closes(self, within: float | None = None) -> bool:
        """Whether the hub closes this link in time."""
        deadline = now() + (self.seconds if within is None else within)
        with self._changed:
            while not self.closed and now() < deadline:
                self._changed.wait(deadline - now())
            return self.closed

    def alive(self, within: float | None = None) -> bool:
        """Whether the hub still answers here; it has then acted on everything sent before."""
        token = int.from_bytes(entropy(4), "big")
        self.send(Ping(token))
        return self.wait(Pong, lambda pong: pong.token == token, within) is not None

    def leave(self) -> None:
        """Say goodbye, close, and wait for the reader to end."""
        self._leaving = True
        if not self.closed:
            self.send(Bye(0))
        self.session.stream.finish()
        if not self.closes(0.3):
            self.session.stream.abort()
        self._thread.join()
        self.session.stream.close()

    def cut(self) -> None:
        """Close without a word."""
        self._leaving = True
        self.session.stream.abort()
        self._thread.join()
        self.session.stream.close()

    # --- the reader's thread ------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while True:
                self._read_one()
        except (Closed, Refused):
            pass
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _read_one(self) -> None:
        try:
            body = self.session.stream.receive_frame(now() + 0.2)
        except Late:
            if now() - self._said_at >= BEAT_SECONDS and not self._leaving:
                self.send(Beat())
            return
        try:
            messages = decode_frame(self.session.channel.receiving.unseal(body))
        except Refused as fault:
            self._watch.note("R27", f"the hub sent a frame that is refused: {fault}")
            raise
        with self._changed:
            self._judge_clock(messages)
            for message in messages:
                self._take(message)
                self.arrivals.append(Arrival(now(), message))
            self._changed.notify_all()
        if now() - self._said_at >= BEAT_SECONDS and not self._leaving:
            self.send(Beat())

    def _judge_clock(self, messages: Sequence[Message]) -> None:
        kinds = [type(message) for message in messages]
        if VectorMessage in kinds and (kinds.count(Clock) != 1 or kinds.index(Clock) > kinds.index(VectorMessage)):
            self._watch.note("R75", "vectors came without one CLOCK before the first of them")

    def _take(self, message: Message) -> None:
        if isinstance(message, Bye):
            self.bye = message.code
        elif isinstance(message, Hello) == self._greeted:
            self._watch.note("R28", "the hub's first message is not HELLO" if not self._greeted else "a second HELLO")
        self._greeted = True
        if isinstance(message, Keys) and not self._learn(message.key_state):
            self._watch.note("R22", "the hub sent a key state that is not valid")
        if isinstance(message, VectorMessage):
            self._judge(message)
        if isinstance(message, Gossip | EventMessage):
            self._judge_event(message)

    def _learn(self, encoded: bytes) -> bool:
        try:
            state = decode_key_state(encoded, self.identity.mesh_id)
        except Refused:
            return False
        known = self._states.get(state.author)
        if known is None or known.rotation < state.rotation:
            self._states[state.author] = state
        return True

    def _judge(self, message: VectorMessage) -> None:
        """Hold a vector that the hub sent against the document."""
        try:
            vector = decode_vector(message.signed, self.identity.mesh_id)
        except Refused as fault:
            self._watch.note("R33", f"the hub sent a vector that is refused: {fault}")
            return
        except Ignored as fault:
            self._watch.note("R24" if "audience" in str(fault) else "R26", f"the hub relayed {fault}")
            return
        state = self._states.get(vector.author)
        if state is None or state.rotation < vector.rotation:
            self._watch.note("R41", "a vector came before its keys")
        elif state.rotation > vector.rotation or not verify(state.key, message.signed, message.signature):
            self._watch.note("R38", "the hub sent a vector whose signature is wrong")
        self._judge_terms(vector, message.age_ms)

    def _judge_event(self, message: Gossip | EventMessage) -> None:
        """Hold an event that the hub sent, in one way or the other, against the document."""
        try:
            if isinstance(message, Gossip):
                message = decode_gossip(message.payload)
            event = decode_event(message.signed, self.identity.mesh_id)
        except Refused as fault:
            self._watch.note("R80", f"the hub sent an event that is refused: {fault}")
            return
        state = self._states.get(event.author)
        if state is None or state.rotation < event.rotation:
            self._watch.note("R41", "an event came before its keys")
        elif not verify(key_at(state, event.rotation), message.signed, message.signature):
            self._watch.note("R80", "the hub sent an event whose signature is wrong")

    def _judge_terms(self, vector: Vector, age_ms: int) -> None:
        if vector.author == self.hub:
            self._watch.dated = self._watch.dated or vector.hlc > 0
        elif not vector.terms & MAY_RELAY:
            self._watch.note("R39", "the hub relayed a vector that it may not")
        if age_ms >= vector.lease_ms:
            self._watch.note("R42", f"the hub sent a vector of {age_ms} ms with a lease of {vector.lease_ms} ms")
