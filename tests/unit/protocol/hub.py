"""One hub with its timers: tells a Node what happens, and looks at what it asks for.

Every effect that passes here is checked for the promises that a driver relies on, so each test of the Node is also a
test of these: a timer lies ahead, a frame fits and is one that the other side can read, a second Send waits for
LinkWritable.
"""

from __future__ import annotations

from protocol import limits
from protocol.clock import SECOND, Duration, Instant
from protocol.crypto import Verifier, verify
from protocol.effects import CancelTimer, Connect, Disconnect, Drop, Effect, Emit, LinkNews, Send, SetTimer, ValueShown
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, LinkId
from protocol.inputs import (
    Address,
    CommonsGrant,
    Estimate,
    FrameReceived,
    Input,
    LinkDown,
    LinkUp,
    LinkWritable,
    Publish,
    Reading,
    SetGrant,
    Started,
    StoredLedger,
    TimerFired,
)
from protocol.limits import SPACING_US
from protocol.node import Node, NodeConfig
from protocol.rng import Rng
from protocol.statistics import AuthorStatistics, NodeStatistics
from protocol.timers import TimerTable
from protocol.wire import messages as wire
from protocol.wire.messages import Message, decode_frame, encode_frame
from protocol.wire.registry import AROUSAL
from tests.unit.protocol.people import ME, MESH

START: Instant = 100_000_000

GRANT = CommonsGrant(
    dimensions=(AROUSAL,),
    levels=0,
    cadence_ms=1_000,
    lease_ms=10_000,
    may_relay=True,
    may_aggregate=True,
    may_record=False,
)


class Hub:
    """A Node that has been told ``Started``, its virtual clock and its timers."""

    def __init__(
        self,
        me: LocalIdentity = ME,
        *,
        config: NodeConfig | None = None,
        verifier: Verifier = verify,
        started: Started | None = None,
        seed: int = 1,
    ) -> None:
        self.node = Node(MESH, me, Rng(seed), config, verifier)
        self.now: Instant = START
        self.timers = TimerTable()
        self.busy: dict[LinkId, None] = {}
        self.open: dict[LinkId, None] = {}
        self.outbox: dict[LinkId, list[Message]] = {}
        self.act(started if started is not None else Started(1, ledger=StoredLedger(fresh=True)))

    # --- what is told -------------------------------------------------------------------------------------------

    def act(self, input: Input) -> list[Effect]:
        """One input; its effects, after they were checked and the timers set."""
        if isinstance(input, LinkWritable | LinkDown):
            self.busy.pop(input.link, None)
        effects = self.node.handle(input, self.now)
        closed_now: set[LinkId] = set()
        for effect in effects:
            if isinstance(effect, Disconnect):
                closed_now.add(effect.link)
            assert not (isinstance(effect, Send) and effect.link in closed_now), "a Send after the BYE of its link"
            self._check(effect)
        return effects

    def _check(self, effect: Effect) -> None:
        match effect:
            case SetTimer(key, at):
                assert at > self.now, f"{key} is set {self.now - at} us into the past"
                self.timers.set(key, at)
            case CancelTimer(key):
                self.timers.cancel(key)
            case Send(link, messages):
                assert link not in self.busy, "a second Send before LinkWritable"
                plaintext = encode_frame(messages)
                assert len(plaintext) <= limits.PLAINTEXT_BYTES_MAX
                assert decode_frame(plaintext) == messages
                self.busy[link] = None
                self.outbox.setdefault(link, []).extend(messages)
            case Connect(_, addresses, expected, timeout_us):
                assert 1 <= len(addresses) <= limits.ADDRESSES_MAX
                assert expected != self.node.author
                assert timeout_us > 0
            case Emit(LinkNews(link, _, up)) if not up:
                self.open.pop(link, None)
                self.busy.pop(link, None)
            case _:
                pass

    def say(self, link: LinkId | int, *messages: Message) -> list[Effect]:
        """One frame from the peer of a link."""
        return self.act(FrameReceived(LinkId(link), encode_frame(messages)))

    def drain(self) -> list[Effect]:
        """Let every link write until nobody has anything to say."""
        effects: list[Effect] = []
        while self.busy:
            effects += self.act(LinkWritable(next(iter(self.busy))))
        return effects

    def advance(self, duration: Duration, *, drain: bool = True, beats: bool = True) -> list[Effect]:
        """Let time pass: timers fire when they are due, links write, and peers say BEAT each second.

        Links stay busy without ``drain``, peers silent without ``beats`` (or before their HELLO).
        """
        effects = self.drain() if drain else []
        until = self.now + duration
        while self.now < until:
            effects += self._pass(min(until, self.now + SECOND), drain=drain)
            for link in list(self.open) if beats else []:
                effects += self.say(link, wire.Beat())
                effects += self.drain() if drain else []
        return effects

    def _pass(self, until: Instant, *, drain: bool) -> list[Effect]:
        effects: list[Effect] = []
        while True:
            at = self.timers.next_at()
            if at is None or at > until:
                break
            self.now = max(self.now, at)
            key = self.timers.pop_due(self.now)
            assert key is not None
            effects += self.act(TimerFired(key))
            effects += self.drain() if drain else []
        self.now = until
        return effects

    # --- what is arranged ---------------------------------------------------------------------------------------

    def up(
        self,
        link: int,
        who: LocalIdentity,
        *,
        initiator: bool = False,
        address: Address | None = None,
        dial: int | None = None,
    ) -> list[Effect]:
        """A handshake has ended; the peer's HELLO has not come yet."""
        return self.act(LinkUp(LinkId(link), who.author, who.key_state.encoded, initiator, address, dial))

    def hello(self, link: int, *, addresses: tuple[bytes, bytes] | None = None) -> list[Effect]:
        """The HELLO of a link's peer."""
        self.open[LinkId(link)] = None
        return self.say(link, wire.Hello(1, addresses, "test"))

    def join(self, link: int, who: LocalIdentity, *, initiator: bool = False) -> list[Effect]:
        """A link, open in both directions, with nothing left to write."""
        effects = self.up(link, who, initiator=initiator)
        effects += self.hello(link)
        return effects + self.drain()

    def share(self, grant: CommonsGrant | None = None, arousal: float = 0.5) -> list[Effect]:
        """Grant, read once, and let the first vector be published."""
        self.act(Publish(reading(self.now, arousal)))
        effects = self.act(SetGrant(grant or GRANT))
        at = next(effect.at for effect in effects if isinstance(effect, SetTimer))
        return self.advance(at - self.now, drain=False)

    # --- what is seen -------------------------------------------------------------------------------------------

    def statistics(self) -> NodeStatistics:
        """The Node's own picture now."""
        return self.node.statistics(self.now)

    def held(self, who: LocalIdentity) -> AuthorStatistics | None:
        """What is shown of one author now."""
        return next((line for line in self.statistics().authors if line.author == who.author), None)

    def seq_of(self, who: LocalIdentity) -> int | None:
        """The sequence number shown of one author now."""
        line = self.held(who)
        return None if line is None else line.seq


def reading(at: Instant, arousal: float | None = 0.5, *, sd: float | None = 0.1, quality: float = 1.0) -> Reading:
    """A reading of arousal."""
    return Reading(at, (Estimate(AROUSAL, arousal, sd),), quality, 1)


def sent(effects: list[Effect], link: int | None = None) -> list[Message]:
    """The messages that leave, on one link or on all, but for the CLOCK of every frame with vectors."""
    sends = [effect for effect in effects if isinstance(effect, Send) and link in (None, effect.link)]
    return [message for send in sends for message in send.messages if not isinstance(message, wire.Clock)]


def vectors_sent(effects: list[Effect], link: int | None = None) -> list[wire.Vector]:
    """The vectors that leave, on one link or on all."""
    return [message for message in sent(effects, link) if isinstance(message, wire.Vector)]


def drops(effects: list[Effect]) -> list[Reason]:
    """Why things were refused, in order."""
    return [effect.reason for effect in effects if isinstance(effect, Drop)]


def closed(effects: list[Effect]) -> list[tuple[int, CloseCode]]:
    """The links that are to be closed, and what BYE will say."""
    return [(effect.link, effect.code) for effect in effects if isinstance(effect, Disconnect)]


def shown(effects: list[Effect]) -> list[tuple[AuthorId, int]]:
    """Author and sequence number of what is news."""
    values = [effect.event for effect in effects if isinstance(effect, Emit)]
    return [(event.author, event.seq) for event in values if isinstance(event, ValueShown)]


def news(effects: list[Effect]) -> list[tuple[int, bool]]:
    """The links that came up or went down."""
    values = [effect.event for effect in effects if isinstance(effect, Emit)]
    return [(event.link, event.up) for event in values if isinstance(event, LinkNews)]


def connects(effects: list[Effect]) -> list[Connect]:
    """Who is dialled."""
    return [effect for effect in effects if isinstance(effect, Connect)]


def timers(effects: list[Effect]) -> dict[tuple[str, ...], Instant]:
    """The timers that are set, the last one of each key."""
    return {effect.key: effect.at for effect in effects if isinstance(effect, SetTimer)}


class Couple:
    """Two hubs and one link between them, on one clock; what one sends the other hears after no time at all."""

    def __init__(self, left: Hub, right: Hub, link: int) -> None:
        self.left, self.right, self.link = left, right, LinkId(link)
        left.outbox.clear()
        right.outbox.clear()

    def settle(self) -> None:
        """Carry messages until nobody has anything to say."""
        moved = True
        while moved:
            moved = False
            for here, there in ((self.left, self.right), (self.right, self.left)):
                here.drain()
                messages = here.outbox.pop(self.link, [])
                if messages:
                    there.say(self.link, *messages)
                    moved = True

    def advance(self, duration: Duration) -> None:
        """Let time pass on both sides, a tenth of a second at a time."""
        for _ in range(duration // SPACING_US):
            for hub in (self.left, self.right):
                hub.advance(SPACING_US, drain=False, beats=False)
            self.settle()
