"""Carries news between the overlay, which knows author ids, and the views and the address book, which know where
their hubs are: part of the Node, in a room of its own.

The overlay says whom to dial, the views know where. Invariants: every Dial of the overlay is answered; a peer record
is checked before the overlay hears of its author, and one link cannot make us check more than ``RECORDS_PER_SECOND``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from protocol import limits
from protocol.clock import SECOND, Duration, Instant
from protocol.effects import Disconnect, Drop, Effect, SetTimer, StorePeers
from protocol.errors import CloseCode, Reason, RemoteProtocolError
from protocol.gossip.keys import KeyBook
from protocol.ids import AuthorId, LinkId
from protocol.inputs import Address, TimerKey
from protocol.membership import overlay_values as say
from protocol.membership.addresses import AddressBook
from protocol.membership.overlay import Overlay
from protocol.membership.overlay_values import OverlayConfig
from protocol.membership.views import Views, ViewsConfig
from protocol.port import Outbox, Port
from protocol.statistics import ExileStatistics, NeighborStatistics, OverlayStatistics
from protocol.wire import joining
from protocol.wire import messages as wire
from protocol.wire.joining import JoiningMessage
from protocol.wire.messages import Message, PeerRecord

_ON_PURPOSE = tuple(code for code in CloseCode if code is not CloseCode.TIMEOUT)
"""After these a hub is no exile: it left, or one of us broke a rule."""
_RECORD_US: Duration = SECOND // limits.RECORDS_PER_SECOND


def within(overlay: OverlayConfig, views: ViewsConfig) -> OverlayConfig:
    """The overlay's configuration, with views no larger than this hub wants links.

    In a small mesh a hub seeks ``links_target`` links and takes what comes beyond. Of two pieces in which everybody
    has so many neighbors each is larger than that; hence the bound on what is small.
    """
    active_max = min(overlay.active_max, max(2, views.links_max - 1))
    return replace(
        overlay,
        active=min(overlay.active, views.links_target, active_max),
        active_max=active_max,
        small_mesh=min(overlay.small_mesh, 2 * views.links_target + 1, views.links_max + 1),
        small_sought=min(overlay.small_sought, views.links_target),
        dials=views.parallel,
        dials_alone=views.parallel_alone,
    )


class Neighborhood:
    """``todo`` is what the overlay has asked for and nobody has done yet."""

    def __init__(
        self,
        overlay: Overlay,
        views: Views,
        book: AddressBook,
        outbox: Outbox,
        keys: KeyBook,
    ) -> None:
        self.overlay = overlay
        self.todo: list[say.OverlayEffect] = []
        self._views = views
        self._book = book
        self._outbox = outbox
        self._keys = keys
        self._stored: tuple[PeerRecord, ...] = ()
        self._store_at: Instant = 0

    # --- what the overlay is told -----------------------------------------------------------------------------------

    def _hear(self, effects: list[say.OverlayEffect]) -> None:
        self.todo += effects
        small = self.overlay.is_small()
        if small != self._views.small:
            self._outbox.changed = True
        self._views.small = small
        self._views.sought = self.overlay.config.small_sought if small else self.overlay.config.active
        self._outbox.members = None if small else self.overlay.carriers

    def linked(self, peer: AuthorId, now: Instant, *, initiator: bool) -> None:
        """A link has come up and was kept, or another one was, or there was no room for any."""
        if self._views.link_of(peer) is not None:
            self._hear(self.overlay.link_up(peer, initiator, now))
        else:
            self._hear(self.overlay.dial_failed(peer, now, there=True))

    def lost(self, peer: AuthorId, code: int | None, now: Instant) -> None:
        """The link with ``peer`` is gone, unless another one has taken its place."""
        if self._views.link_of(peer) is None:
            effects = self.overlay.link_down(peer, code in _ON_PURPOSE, now)
            if not self._views.known_at(peer):
                self.overlay.forget(peer)
            self._hear(effects)

    def dial_failed(self, dial: int, reason: str, address: Address | None, now: Instant) -> list[Effect]:
        """A Connect has come to nothing."""
        peer = self._views.dialled(dial)
        effects = self._views.dial_failed(dial, reason, address, now)
        if peer is not None:
            self._hear(self.overlay.dial_failed(peer, now))
        return effects

    def seen(self, name: str, addresses: tuple[Address, ...], expected: AuthorId | None, now: Instant) -> list[Effect]:
        """Discovery says that somebody is at these addresses."""
        before = () if expected is None else self._views.known_at(expected)
        effects = self._views.seen(name, addresses, expected, now)
        if expected is not None:
            self._met(expected, before, now)
        return effects

    def told(self, peer: AuthorId, addresses: tuple[Address, ...], now: Instant) -> list[Effect]:
        """``peer`` itself says, signed, where it is."""
        before = self._views.known_at(peer)
        effects = self._views.told(peer, addresses, now)
        self._met(peer, before, now)
        return effects

    def _met(self, peer: AuthorId, before: tuple[Address, ...], now: Instant) -> None:
        if self._views.known_at(peer) not in ((), before):
            self._hear(self.overlay.met(peer, now))

    def introduced(self, link: LinkId, port: Port, message: wire.Peers, now: Instant) -> list[Effect]:
        """PEERS.

        Raises:
            RemoteProtocolError: a record is invalid.
        """
        if now - port.introduced_at < SECOND:
            return [Drop(link, Reason.ADDRESS_LIMIT)]
        port.introduced_at = now
        learnt = [self._book.learn_peer(peer, self._keys.get, self._keys.same) for peer in message.records]
        effects: list[Effect] = []
        for record in learnt:  # only once all of them have proven good: a fault above undoes nothing
            if record is not None:
                effects += self.told(record.author, record.addresses, now)
        return effects

    def announced(self, port: Port, now: Instant) -> None:
        """The peer of this link has said who its neighbors are."""
        self._hear(self.overlay.announced(port.peer, port.neighbors, now))

    def measured(self, port: Port, rtt_us: Duration | None, now: Instant) -> None:
        """The round trip on a link is known."""
        if rtt_us is not None:
            self._hear(self.overlay.measured(port.peer, rtt_us, now))

    def network_changed(self, now: Instant) -> list[Effect]:
        """This hub's own addresses have changed."""
        effects = self._views.network_changed(now)
        self._hear(self.overlay.network_changed(now))
        return effects

    def timer(self, key: TimerKey, now: Instant) -> list[Effect]:
        """One of the overlay's timers is due; what follows from it is left in ``todo``."""
        self._hear(self.overlay.timer(key, now))
        return []

    def receive(self, link: LinkId, port: Port, message: JoiningMessage, now: Instant) -> list[Effect]:
        """A message of types 13 to 18.

        Raises:
            RemoteProtocolError: a record in it is invalid; nothing of the message takes effect.
        """
        effects: list[Effect] = []
        said: say.OverlayMessage
        match message:
            case joining.Join() | joining.Neighbor() | joining.NeighborAnswer():
                said = message  # nobody is named in it
            case joining.ForwardJoin(ttl, peer):
                (author,) = self._authors(link, port, (peer,), effects, now)
                if author is None:
                    return effects
                said = say.ForwardJoin(author, ttl)
            case joining.Shuffle(ttl, origin, peers):
                first, *others = self._authors(link, port, (origin, *peers), effects, now)
                if first is None:
                    return effects
                said = say.Shuffle(first, ttl, tuple(other for other in others if other is not None))
            case joining.ShuffleAnswer(target, peers):
                named = self._authors(link, port, peers, effects, now)
                said = say.ShuffleAnswer(target, tuple(author for author in named if author is not None))
            case _:
                assert_never(message)
        self._hear(self.overlay.receive(port.peer, said, now))
        return effects

    def _authors(
        self, link: LinkId, port: Port, records: tuple[PeerRecord, ...], effects: list[Effect], now: Instant
    ) -> list[AuthorId | None]:
        """Whose records these are, each checked; None for all if this link has brought too many."""
        due = max(port.records_due, now - limits.RECORDS_BURST * _RECORD_US)
        if due > now:
            effects.append(Drop(link, Reason.ADDRESS_LIMIT))
            return [None] * len(records)
        port.records_due = due + len(records) * _RECORD_US
        learnt = [self._book.author_of(record, self._keys.get, self._keys.same) for record in records]
        for _, record in learnt:
            if record is not None:
                effects += self._views.told(record.author, record.addresses, now)
        return [author for author, _ in learnt]

    # --- what the overlay asks for ----------------------------------------------------------------------------------

    def settle(self, now: Instant, effects: list[Effect]) -> list[Disconnect]:
        """Do what is to be done; returns the links that are to be forgotten."""
        gone: list[Disconnect] = []
        changed = False
        while self.todo:
            todo, self.todo = self.todo, []
            for wish in todo:
                match wish:
                    case say.Tell(peer, message):
                        self._tell(peer, message, now, effects)
                    case say.Dial(peer, priority):
                        reachable, dials = self._views.want(peer, now, urgent=priority is say.Priority.URGENT)
                        effects += dials
                        if not reachable:
                            self._hear(self.overlay.dial_failed(peer, now))
                            self.overlay.forget(peer)
                    case say.Release(peer):
                        link = self._views.link_of(peer)
                        if link is not None:
                            gone.append(Disconnect(link, CloseCode.TOO_MANY_LINKS))
                    case SetTimer():
                        effects.append(wish)
                    case say.NeighborUp(peer):
                        changed = not self._views.small
                        self._outbox.changed = True
                        link = self._views.link_of(peer)
                        if changed and link is not None:
                            self._outbox.flush(link, now, effects)  # vectors leave to neighbors only
                    case say.NeighborParting():
                        self._outbox.changed = True
                    case say.NeighborDown():
                        changed = not self._views.small
                        self._outbox.changed = True
                    case _:
                        assert_never(wish)
        if changed and not gone:  # else they hear of it when the closed links are forgotten
            self._outbox.announce(now, effects)
        effects += gone
        return gone

    def _tell(self, peer: AuthorId, message: say.OverlayMessage, now: Instant, effects: list[Effect]) -> None:
        link = self._views.link_of(peer)
        port = None if link is None else self._outbox.ports.get(link)
        spelt = self._spell(message)
        if link is not None and port is not None and spelt is not None:
            slot, sent = spelt
            port.control[slot] = sent  # a newer walk takes the place of one that could not leave yet
            self._outbox.flush(link, now, effects)

    def _spell(self, message: say.OverlayMessage) -> tuple[str, Message] | None:
        """The message as it travels and its place in ``control``; None if nobody knows where somebody in it is."""
        match message:
            case joining.Join():
                return "join", message
            case joining.Neighbor():
                return "neighbor", message
            case joining.NeighborAnswer():
                return "neighbor_answer", message
            case say.ForwardJoin(peer, ttl):
                record = self._book.record(peer)
                return None if record is None else (f"forward_join {peer[0] & 3}", joining.ForwardJoin(ttl, record))
            case say.Shuffle(origin, ttl, peers):
                record = self._book.record(origin)
                return None if record is None else ("shuffle", joining.Shuffle(ttl, record, self._records(peers)))
            case say.ShuffleAnswer(origin, peers):
                records = self._records(peers)
                return ("shuffle_answer", joining.ShuffleAnswer(origin, records)) if records else None
            case _:
                assert_never(message)

    def _records(self, peers: tuple[AuthorId, ...]) -> tuple[PeerRecord, ...]:
        records = (self._book.record(peer) for peer in peers)
        return tuple(record for record in records if record is not None)[: limits.PEERS_MAX]

    # --- across restarts --------------------------------------------------------------------------------------------

    def restore(self, peers: tuple[PeerRecord, ...], now: Instant) -> list[Effect]:
        """Look for those that were known when this hub last ran."""
        self._stored = peers
        effects: list[Effect] = []
        for peer in peers:
            try:
                record = self._book.learn_peer(peer, self._keys.get, self._keys.same)
            except RemoteProtocolError as fault:
                effects.append(Drop(None, fault.reason, "stored peer"))
                continue
            if record is not None:
                effects += self._views.told(record.author, record.addresses, now)
                self.overlay.exiles.restore(record.author, now)
                self._hear(self.overlay.met(record.author, now))
        return effects

    def keep(self, now: Instant) -> list[Effect]:
        """Store whom to look for, now and then and only if it has changed."""
        if now < self._store_at:
            return []
        peers = self._whom_to_store()
        if not peers or peers == self._stored:  # whoever has lost everybody still knows whom it had
            return []
        self._store_at = now + limits.STORE_PEERS_US
        self._stored = peers
        return [StorePeers(peers)]

    # --- what outsiders see -----------------------------------------------------------------------------------------

    def _whom_to_store(self) -> tuple[PeerRecord, ...]:
        """Whom to look for after a restart: neighbors and lost neighbors first."""
        lost = [peer for peer, exile in self.overlay.exiles.items() if exile.was_neighbor]
        wanted = dict.fromkeys([*self.overlay.active, *lost, *self.overlay.passive])
        records = [record for peer in wanted if (record := self._book.record(peer)) is not None]
        chosen = records[: limits.STORED_PEERS_MAX]
        return tuple(sorted(chosen, key=lambda record: (record.key_state, record.signed)))

    def bridges(self, now: Instant) -> tuple[AuthorId, ...]:
        """Neighbors that are back after long, or that lead to another crowd: reconcile with these first."""
        return self.overlay.bridges(now)

    def statistics(self) -> OverlayStatistics:
        """Neighbors, known peers and exiles, and why."""
        overlay = self.overlay
        return OverlayStatistics(
            overlay.is_small(),
            tuple(
                NeighborStatistics(peer, member.initiator, member.since, member.known_at, member.why())
                for peer, member in overlay.active.items()
            ),
            tuple(overlay.passive),
            len(overlay.pool.reserve),
            tuple(
                ExileStatistics(peer, exile.lost_at, "lost" if exile.was_neighbor else "no answer", exile.dials)
                for peer, exile in overlay.exiles.items()
            ),
        )
