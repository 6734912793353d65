"""The network between simulated hubs: links as ordered streams, dials, cuts that nobody is told of.

What cannot happen under TCP and an authenticated channel does not happen inside a link: nothing is reordered,
duplicated or damaged. Loss is delay, a cut is silence; a link that survives a cut delivers late and in order, at the
retransmission time-out that comes after the path is back, which is about as long again as the outage.
A clog is a full queue on the way: what comes to it waits there, nothing is lost, and at its release all of it goes on
at once. A hub that takes another address leaves its links behind: they fall silent for good.
A dial costs a TCP round trip and 1.5 round trips of handshake: the dialling side is up after two round trips, the
other half a trip later.
Simplifications: bandwidth belongs to a link and is not shared; the far side acknowledges at once.
Invariants: a hub is given ``LinkWritable`` once per ``Send``, never before the frame has left its line, and not while
more than ``SEND_BUFFER_BYTES`` are unacknowledged; each direction arrives in the order in which it was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from protocol.clock import SECOND, Instant
from protocol.effects import Connect, Send
from protocol.errors import CloseCode, Reason
from protocol.ids import LinkId
from protocol.inputs import (
    Address,
    DialFailed,
    FrameReceived,
    Input,
    LinkDown,
    LinkUp,
    LinkWritable,
    MessagesReceived,
)
from protocol.limits import HANDSHAKE_US, MESSAGES_PER_FRAME_MAX, PLAINTEXT_BYTES_MAX
from protocol.rng import Rng
from protocol.wire.messages import Bye, Message, encode_frame
from sim.host import Host
from sim.kernel import Action, Kernel
from sim.paths import Paths, Way
from sim.stream import (
    FRAME_OVERHEAD_BYTES,
    RECEIVE_BUFFER_BYTES,
    SEND_BUFFER_BYTES,
    SYN_RTO_US,
    End,
    Item,
    Kind,
    bytes_on_line,
    frame_bytes,
    join,
    loss_delay,
    next_retransmission,
    rto_us,
)

Lane = Literal["object", "wire"]
HANDSHAKE_BYTES = 400
UNREACHABLE = "timeout"
REFUSED = "refused"
WEATHER_KINDS = (
    "segments lost",
    "frames kept by a slow line",
    "frames held by a cut",
    "frames held by a clog",
    "reset",
)
"""What ``Network.seen`` may count."""
SLOW_US = 10_000
"""A frame that leaves its line later than this was kept waiting by the line."""


@dataclass(slots=True, eq=False)
class _Dial:
    host: Host
    life: int
    connect: Connect
    attempt: int = 0
    done: bool = False


class Network:
    """Carries frames between hosts. ``give(host, life, input, shown)`` hands an input over; ``shown`` is how the trace
    names it. ``frames`` and ``bytes`` count what was sent, ``seen`` what the weather did to it."""

    def __init__(
        self, kernel: Kernel, paths: Paths, rng: Rng, lane: Lane, give: Callable[[Host, int, Input, Input], None]
    ) -> None:
        self.lane = lane
        self.paths = paths
        self.frames = 0
        self.bytes = 0
        self.hosts: dict[Address, Host] = {}
        self.seen: dict[str, int] = {}
        self._kernel = kernel
        self._rng = rng
        self._give = give
        self._stuck: dict[End, None] = {}
        self._clogged: dict[Way, list[tuple[Action, tuple[object, ...]]]] = {}
        self._links = 0

    def _saw(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    # --- dialling -----------------------------------------------------------------------------------------------

    def dial(self, host: Host, connect: Connect) -> None:
        """Perform a Connect: its addresses in turn, each with the whole time-out."""
        self._try(_Dial(host, host.life, connect))

    def _try(self, dial: _Dial) -> None:
        connect, now = dial.connect, self._kernel.now
        self._kernel.at(now + connect.timeout_us, self._next, dial, dial.attempt, UNREACHABLE)
        target = self.hosts.get(connect.addresses[dial.attempt])
        if target is None or not self.paths.passes(dial.host.index, target.index):
            return
        # SYN, SYN-ACK, handshake message 1: one and a half round trips until the other side can answer
        forth, back = dial.host.index, target.index
        trip = self._trip(forth, back, syn=True) + self._trip(back, forth, syn=True) + self._trip(forth, back)
        self._kernel.at(now + trip, self._knock, dial, dial.attempt, target)

    def _trip(self, source: int, target: int, *, syn: bool = False) -> int:
        quality = self.paths.between(source, target)
        rto = SYN_RTO_US if syn else rto_us(quality, self.paths.between(target, source))
        jitter = self._rng.below(quality.jitter_us + 1) if quality.jitter_us else 0
        return quality.latency_us + jitter + self._lost(self._rng, quality.loss, HANDSHAKE_BYTES, rto)

    def _lost(self, rng: Rng, loss: float, size: int, rto: int) -> int:
        late = loss_delay(rng, loss, size, rto)
        if late:
            self._saw("segments lost")
        return late

    def _stale(self, dial: _Dial, attempt: int) -> bool:
        return dial.done or dial.attempt != attempt or dial.host.life != dial.life or not dial.host.alive

    def _next(self, dial: _Dial, attempt: int, reason: str) -> None:
        """This address came to nothing: the next one, or the end."""
        if self._stale(dial, attempt):
            return
        dial.attempt += 1
        if dial.attempt < len(dial.connect.addresses):
            self._try(dial)
            return
        dial.done = True
        failed = DialFailed(dial.connect.dial, reason)
        self._give(dial.host, dial.life, failed, failed)

    def _knock(self, dial: _Dial, attempt: int, target: Host) -> None:
        """Handshake message 1 is there."""
        host, now = dial.host, self._kernel.now
        if self._stale(dial, attempt) or not self.paths.passes(host.index, target.index):
            return
        if self._waits(host.index, target.index, self._knock, dial, attempt, target):
            return
        if self.hosts.get(dial.connect.addresses[attempt]) is not target:
            return  # it has moved on since
        if target.starved_until is not None and target.starved_until > now:
            self._kernel.at(target.starved_until + 1, self._knock, dial, attempt, target)
            return
        if not self.paths.passes(target.index, host.index):
            return
        answer_at = now + self._trip(target.index, host.index)
        refusal = self._refusal(dial, target)
        if refusal is not None:
            self._kernel.at(answer_at, self._next, dial, attempt, refusal)
        else:
            self._kernel.at(answer_at, self._answered, dial, attempt, target, target.life)

    @staticmethod
    def _refusal(dial: _Dial, target: Host) -> str | None:
        if not target.alive:
            return REFUSED
        if target.mesh.psk != dial.host.mesh.psk:
            return Reason.HANDSHAKE_WRONG_SECRET
        if target.author == dial.host.author:
            return Reason.HANDSHAKE_SELF
        if dial.connect.expected not in (None, target.author):
            return Reason.HANDSHAKE_WRONG_IDENTITY
        return None

    def _answered(self, dial: _Dial, attempt: int, target: Host, life: int) -> None:
        """Handshake message 2 is back: the dialling side has its link, message 3 is on its way."""
        host, now = dial.host, self._kernel.now
        if self._stale(dial, attempt) or not self.paths.passes(target.index, host.index):
            return
        if self._waits(target.index, host.index, self._answered, dial, attempt, target, life):
            return
        dial.done = True
        self._links += 1
        rng = self._rng.child(f"link {self._links}")
        near = End(host, dial.life, host.next_link(), rng.child("initiator"), True, now)
        far = End(target, life, LinkId(0), rng.child("responder"), False, now)
        join(near, far)
        near.open = True
        host.ends[near.link] = near
        address = dial.connect.addresses[attempt]
        up = LinkUp(near.link, target.author, target.identity.key_state.encoded, True, address, dial.connect.dial)
        self._push(near, Kind.OPEN, HANDSHAKE_BYTES)
        self._give(host, dial.life, up, up)

    # --- sending ------------------------------------------------------------------------------------------------

    def send(self, host: Host, send: Send) -> None:
        """Perform a Send; nothing happens if the link has just gone."""
        end = host.ends.get(send.link)
        if end is None:
            return
        assert not end.busy, f"{host.name} sent on link {send.link} without LinkWritable"
        end.busy = True
        self._frame(end, send.messages)
        self._kernel.at(end.free_at, self._left, end)

    def _frame(self, end: End, messages: tuple[Message, ...]) -> None:
        frame = encode_frame(messages) if self.lane == "wire" else None
        plain = frame_bytes(messages) if frame is None else len(frame)
        assert 0 < len(messages) <= MESSAGES_PER_FRAME_MAX, f"{end.host.name} sends {len(messages)} messages in a frame"
        assert plain <= PLAINTEXT_BYTES_MAX, f"{end.host.name} sends a frame of {plain} bytes"
        size = FRAME_OVERHEAD_BYTES + plain
        self.frames += 1
        self.bytes += size
        self._push(end, Kind.FRAME, size, messages, frame)

    def _push(
        self, end: End, kind: Kind, size: int, messages: tuple[Message, ...] = (), frame: bytes | None = None
    ) -> None:
        self._transmit(end, Item(kind, end.next_number(), size, messages, frame))

    def _transmit(self, end: End, item: Item) -> None:
        source, target, now = end.host.index, end.peer.host.index, self._kernel.now
        quality = self.paths.between(source, target)
        end.free_at = max(now, end.free_at)
        if quality.bytes_per_s is not None:
            end.free_at += bytes_on_line(item.size) * SECOND // quality.bytes_per_s
            if end.free_at - now > SLOW_US:
                self._saw("frames kept by a slow line")
        if end.severed or not self.paths.passes(source, target):
            self._hold(end, item)
            return
        back = self.paths.between(target, source)
        trip = quality.latency_us + self._lost(end.rng, quality.loss, item.size, rto_us(quality, back))
        if quality.jitter_us:
            trip += end.rng.below(quality.jitter_us + 1)
        arrival = end.free_at + trip
        end.fly(item, arrival + back.latency_us)
        self._kernel.at(arrival, self._arrive, end, item)

    def _hold(self, end: End, item: Item) -> None:
        if not end.gone:
            self._saw("frames held by a cut")
            end.hold(item, self._kernel.now)
            self._stuck[end] = None

    def _left(self, end: End) -> None:
        """The frame has left its line: writable, unless too much is not acknowledged."""
        if not end.busy or not end.open:
            return
        now = self._kernel.now
        if now < end.free_at:
            self._kernel.at(end.free_at, self._left, end)
        elif end.buffered(now) <= SEND_BUFFER_BYTES:
            end.busy = False
            writable = LinkWritable(end.link)
            self._give(end.host, end.life, writable, writable)
        elif end.flight:
            self._kernel.at(max(now + 1, end.flight[0][0]), self._left, end)

    # --- arriving -----------------------------------------------------------------------------------------------

    def _arrive(self, end: End, item: Item) -> None:
        target = end.peer
        forth, back = end.host.index, target.host.index
        if end.severed or not self.paths.passes(forth, back) or target.unread >= RECEIVE_BUFFER_BYTES:
            end.unacknowledge(item)
            self._hold(end, item)
            return
        if self._waits(forth, back, self._flow, end, item):
            end.unacknowledge(item)
            end.clogged += item.size
            return
        if not self.paths.flows(back, forth):
            end.unacknowledge(item)
            end.unacknowledged += item.size
            self._stuck[end] = None
        if item.number != end.expected:
            end.early[item.number] = item
            return
        found: Item | None = item
        while found is not None:
            end.expected += 1
            self._deliver(target, found)
            found = end.early.pop(end.expected, None)

    def _deliver(self, end: End, item: Item) -> None:
        """An item has come to ``end``."""
        if item.kind is Kind.OPEN:
            self._accept(end)
        elif not end.open:
            if item.kind is Kind.FRAME:
                self._refuse(end)
        elif item.kind is Kind.FIN:
            self._closed(end, None)
        else:
            if end.host.starved_until is not None:
                end.unread += item.size
            shown = MessagesReceived(end.link, item.messages)
            given = shown if item.frame is None else FrameReceived(end.link, item.frame)
            self._give(end.host, end.life, given, shown)

    def _accept(self, end: End) -> None:
        host, now = end.host, self._kernel.now
        if host.life != end.life or not host.alive or now - end.born_at > HANDSHAKE_US:
            self._refuse(end)
            return
        end.link = host.next_link()
        end.open = True
        host.ends[end.link] = end
        peer = end.peer.host
        up = LinkUp(end.link, peer.author, peer.identity.key_state.encoded, False)
        self._give(host, end.life, up, up)

    def _refuse(self, end: End) -> None:
        """Something came for a connection that this machine does not have: it answers with a reset.

        Not after an end of its own: that one is on its way, and the daemon reads on for a while after it.
        """
        if end.ended:
            return
        back = self.paths.between(end.host.index, end.peer.host.index)
        self._kernel.at(self._kernel.now + back.latency_us, self._reset, end.peer)

    def _reset(self, end: End) -> None:
        if not end.open or end.severed or not self.paths.passes(end.peer.host.index, end.host.index):
            return
        if not self._waits(end.peer.host.index, end.host.index, self._reset, end):
            self._closed(end, None)

    # --- ending -------------------------------------------------------------------------------------------------

    def disconnect(self, host: Host, link: LinkId, code: CloseCode) -> None:
        """Perform a Disconnect: BYE if the link is writable, then the end of the stream."""
        end = host.ends.get(link)
        if end is None:
            return
        if not end.busy:
            self._frame(end, (Bye(int(code)),))
        self._finish(end)
        self._closed(end, int(code))

    def _finish(self, end: End) -> None:
        end.ended = True
        self._push(end, Kind.FIN, 0)

    def _closed(self, end: End, code: int | None) -> None:
        end.open = False
        end.host.ends.pop(end.link, None)
        down = LinkDown(end.link, code)
        self._give(end.host, end.life, down, down)

    def reset(self, one: Host, other: Host) -> int:
        """Break every link between two hubs at once, as a router that forgets them does; returns how many."""
        broken = [end for end in list(one.ends.values()) if end.peer.host is other]
        for _ in broken:
            self._saw("reset")
        for end in broken:
            for side in (end, end.peer):
                if side.open:
                    self._closed(side, None)
        return len(broken)

    def crashed(self, host: Host, *, power: bool) -> None:
        """The process is gone. Its system closes the streams, unless the machine went with it."""
        for end in list(host.ends.values()):
            end.open = False
            if power:
                end.vanish()
            else:
                self._finish(end)
        host.ends.clear()

    def moved(self, host: Host, old: Address) -> None:
        """A hub has another address: nobody finds it at the old one, and its links end without a word."""
        self.hosts.pop(old, None)
        self.hosts[host.address] = host
        for end in host.ends.values():
            end.severed = end.peer.severed = True

    # --- clogs --------------------------------------------------------------------------------------------------

    def _waits(self, source: int, target: int, action: Action, *arguments: object) -> bool:
        """Whether the way is clogged; then ``action`` comes at its release, after what waits there already."""
        if not self.paths.clogs or (source, target) not in self.paths.clogs:
            return False
        self._saw("frames held by a clog")
        self._clogged.setdefault((source, target), []).append((action, arguments))
        return True

    def _flow(self, end: End, item: Item) -> None:
        end.clogged -= item.size
        self._arrive(end, item)
        self._left(end)

    def release(self, source: int, target: int) -> None:
        """A clog ends: all that waited goes on now, in its order."""
        self.paths.clogs.pop((source, target), None)
        for action, arguments in self._clogged.pop((source, target), ()):
            self._kernel.post(self._kernel.now, action, arguments)
        self.changed()

    # --- paths that come back -----------------------------------------------------------------------------------

    def changed(self) -> None:
        """Paths may be back: what was held is sent again when its retransmission falls due."""
        for end in list(self._stuck):
            self._look(end)

    def awake(self, host: Host) -> None:
        """A starved hub reads again."""
        for end in host.ends.values():
            end.unread = 0
            if end.peer.held and end.peer.resume_at is None:
                self._resume_at(end.peer, self._kernel.now + 1)

    def _look(self, end: End) -> None:
        if end.severed:
            return
        source, target = end.host.index, end.peer.host.index
        if end.unacknowledged and self.paths.flows(target, source):
            end.unacknowledged = 0
            self._left(end)
        if end.held and end.resume_at is None and self.paths.passes(source, target):
            rto = rto_us(self.paths.between(source, target), self.paths.between(target, source))
            self._resume_at(end, next_retransmission(end.held_since, self._kernel.now, rto))
        if not end.held and not end.unacknowledged:
            self._stuck.pop(end, None)

    def _resume_at(self, end: End, at: Instant) -> None:
        end.resume_at = at
        self._kernel.at(at, self._resume, end)

    def _resume(self, end: End) -> None:
        end.resume_at = None
        if not self.paths.passes(end.host.index, end.peer.host.index):
            return
        items, end.held, end.held_bytes = end.held, [], 0
        for item in sorted(items, key=lambda item: item.number):
            self._transmit(end, item)
        self._look(end)
        self._left(end)
