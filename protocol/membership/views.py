"""Which links this hub has, and where the hubs are that it may dial.

Of two links with one peer one stays (R19), more than ``links_max`` there never are. The overlay says which peers are
dialled, and when (design decision 11, :mod:`~protocol.membership.exiles`); a name that discovery has found and whose
author nobody knows yet is dialled from here, ever more slowly while it does not answer (decision 10).
Invariants: tables are bounded; one dial at a time per target; unknown addresses are dialled seldom while no links are
wanted.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from protocol import limits
from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Connect, Disconnect, Drop, Effect, SetTimer
from protocol.errors import CloseCode, Reason
from protocol.ids import AuthorId, LinkId
from protocol.inputs import Address
from protocol.rng import Rng

TIMER = ("views",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsConfig:
    """``links_target`` 1..16 are sought (design: 8), ``links_max`` is never exceeded; times in microseconds.

    ``explore_us``: how often a hub that lacks nothing dials somebody unknown, so that two crowds that grew apart
    become one.
    """

    links_target: int = 8
    links_max: int = 16
    parallel_alone: int = 8
    parallel: int = 3
    dial_timeout_us: Duration = SECOND
    dial_timeout_alone_us: Duration = 500 * MS
    retry_us: Duration = SECOND
    explore_us: Duration = 10 * SECOND
    crossing_us: Duration = 3 * SECOND
    evict_every_us: Duration = 2 * SECOND


@dataclass(slots=True)  # state: changes in place
class _Target:
    """Somebody to dial. ``author`` is None until a handshake has told; ``next_at`` and ``failures`` matter until then
    only, afterwards the overlay keeps time."""

    addresses: tuple[Address, ...]
    author: AuthorId | None
    next_at: Instant
    failures: int = 0
    dial: int | None = None
    linked_once: bool = False
    lost_at: Instant | None = None


@dataclass(slots=True)  # state: changes in place
class _Link:
    peer: AuthorId
    initiator: bool
    up_at: Instant


def _is_literal(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_multicast
    except ValueError:
        return False


@dataclass(slots=True)  # state: changes in place
class Views:
    """The machine; ``author`` is this hub's own."""

    author: AuthorId
    config: ViewsConfig
    rng: Rng
    links: dict[LinkId, _Link] = field(default_factory=dict)
    _names: dict[str, _Target] = field(default_factory=dict)
    _peers: dict[AuthorId, _Target] = field(default_factory=dict)
    _dials: dict[int, _Target] = field(default_factory=dict)
    _own: dict[Address, None] = field(default_factory=dict)
    leaving: bool = False
    small: bool = True
    sought: int = 6
    wanted: dict[AuthorId, bool] = field(default_factory=dict)
    _dial_count: int = 0
    _evicted_at: Instant = -(1 << 62)
    _unknown_at: Instant = -(1 << 62)

    # --- what is known ------------------------------------------------------------------------------------------

    def link_of(self, peer: AuthorId) -> LinkId | None:
        """The link with ``peer``, if there is one."""
        return next((link for link, state in self.links.items() if state.peer == peer), None)

    def exiles(self) -> tuple[AuthorId, ...]:
        """Peers once linked, now lost."""
        return tuple(author for author, target in self._peers.items() if target.lost_at is not None)

    def known(self) -> tuple[AuthorId, ...]:
        """All peers whose address is known."""
        return tuple(self._peers)

    def seen(self, name: str, addresses: tuple[Address, ...], expected: AuthorId | None, now: Instant) -> list[Effect]:
        """Discovery says that somebody is at these addresses."""
        addresses = self._others(addresses)
        if not addresses:
            return []
        if expected is not None:
            return self.address(expected, addresses, now)
        if any(set(addresses) & set(target.addresses) for target in self._peers.values()):
            return []
        target = self._names.get(name)
        if target is not None and target.addresses == addresses:
            return self.plan(now)
        if target is None and len(self._names) >= limits.CANDIDATES_MAX:
            idle = next((n for n, t in self._names.items() if t.dial is None), None)
            if idle is None:
                return [Drop(None, Reason.ADDRESS_LIMIT)]
            del self._names[idle]
        self._names[name] = _Target(addresses, None, now + self.rng.below(20 * MS) + 1)
        return self.plan(now)

    def address(self, author: AuthorId, addresses: tuple[Address, ...], now: Instant) -> list[Effect]:
        """``author`` can be reached at these addresses."""
        addresses = self._others(addresses)
        if author == self.author or not addresses:
            return []
        target = self._peers.get(author)
        if target is None:
            if not self._room():
                return [Drop(None, Reason.ADDRESS_LIMIT)]
            self._peers[author] = _Target(addresses, author, now + 1)
        elif target.addresses != addresses:
            target.addresses = addresses
        for name in [n for n, t in self._names.items() if set(t.addresses) & set(addresses)]:
            del self._names[name]
        return self.plan(now)

    def known_at(self, author: AuthorId) -> tuple[Address, ...]:
        """Where ``author`` can be dialled; empty if nobody knows."""
        target = self._peers.get(author)
        return () if target is None else target.addresses

    def listening(self, addresses: tuple[Address, ...]) -> None:
        """Where this hub can be reached itself; what was learnt of own addresses before is void."""
        self._own = dict.fromkeys(addresses)

    def _others(self, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
        return tuple(address for address in addresses if address not in self._own)[: limits.ADDRESSES_MAX]

    def told(self, author: AuthorId, addresses: tuple[Address, ...], now: Instant) -> list[Effect]:
        """``author`` itself says, signed, where it can be reached: IP literals only, so that no peer can make this
        hub look names up or dial by them."""
        return self.address(author, tuple(address for address in addresses if _is_literal(address[0])), now)

    def _room(self) -> bool:
        if len(self._peers) < limits.KNOWN_PEERS_MAX:
            return True
        linked = {state.peer for state in self.links.values()}
        for author, target in self._peers.items():
            if author not in linked and target.dial is None and not target.linked_once:
                del self._peers[author]
                return True
        oldest = min(
            (a for a, t in self._peers.items() if a not in linked and t.dial is None),
            key=lambda a: (self._peers[a].lost_at or 0, a),
            default=None,
        )
        if oldest is None:
            return False
        del self._peers[oldest]
        return True

    # --- links --------------------------------------------------------------------------------------------------

    def link_up(
        self, link: LinkId, peer: AuthorId, initiator: bool, address: Address | None, now: Instant
    ) -> list[Effect]:
        """A handshake has ended: keep it, or close one of two, or refuse it (R19)."""
        effects: list[Effect] = []
        other = self.link_of(peer)
        if other is not None:
            loser = self._loser(link, initiator, other, peer, now)
            effects += [
                Drop(loser, Reason.LINK_DUPLICATE),
                Disconnect(loser, CloseCode.DUPLICATE_LINK, Reason.LINK_DUPLICATE),
            ]
            if loser == link:
                self._settle(peer, address, now)
                return effects + self.plan(now)
            del self.links[other]
        elif len(self.links) >= self.config.links_max:
            victim = self._victim(now)
            loser = link if victim is None else victim
            effects += [
                Drop(loser, Reason.LINK_LIMIT),
                Disconnect(loser, CloseCode.TOO_MANY_LINKS, Reason.LINK_LIMIT),
            ]
            if victim is None:
                return effects + self.plan(now)
            del self.links[victim]
        self.links[link] = _Link(peer, initiator, now)
        self._settle(peer, address, now)
        return effects + self.plan(now)

    def _loser(self, link: LinkId, initiator: bool, other: LinkId, peer: AuthorId, now: Instant) -> LinkId:
        old = self.links[other]
        if old.initiator != initiator and now - old.up_at < self.config.crossing_us:
            keep_ours = self.author < peer
            return other if initiator == keep_ours else link
        return other

    def _victim(self, now: Instant) -> LinkId | None:
        if now - self._evicted_at < self.config.evict_every_us:
            return None
        # Never a link that we dialled: strangers who all dial us must not be able to choose our peers.
        settled = [k for k, state in self.links.items() if not state.initiator and now - state.up_at > 10 * SECOND]
        if not settled:
            return None
        self._evicted_at = now
        return self.rng.choice(settled)

    def _settle(self, peer: AuthorId, address: Address | None, now: Instant) -> None:
        self.wanted.pop(peer, None)
        target = self._peers.get(peer)
        if target is None:
            if not self._room():
                return
            target = self._peers[peer] = _Target(() if address is None else (address,), peer, now + 1)
        if address is not None:
            if address not in target.addresses:
                target.addresses = (address, *target.addresses)[: limits.ADDRESSES_MAX]
            for name in [n for n, t in self._names.items() if address in t.addresses]:
                del self._names[name]
        target.linked_once = True
        target.lost_at = None

    def link_down(self, link: LinkId, code: int | None, now: Instant) -> list[Effect]:
        """A link is gone."""
        state = self.links.pop(link, None)
        if state is None:
            return []
        target = self._peers.get(state.peer)
        if target is not None and self.link_of(state.peer) is None:
            target.lost_at = None if code in (CloseCode.TOO_MANY_LINKS, CloseCode.DUPLICATE_LINK) else now
        return self.plan(now)

    # --- dials --------------------------------------------------------------------------------------------------

    def dial_failed(self, dial: int, reason: str, address: Address | None, now: Instant) -> list[Effect]:
        """A Connect came to nothing."""
        target = self._dials.pop(dial, None)
        if target is None:
            return []
        target.dial = None
        target.failures += 1
        if reason in (Reason.HANDSHAKE_SELF, Reason.HANDSHAKE_TWIN, Reason.HANDSHAKE_WRONG_IDENTITY):
            # We live there, or somebody else does now; discovery and PEERS may name another address.
            wrong = target.addresses if address is None else (address,)
            if reason == Reason.HANDSHAKE_SELF and len(wrong) == 1 and len(self._own) < limits.CANDIDATES_MAX:
                self._own[wrong[0]] = None
            target.addresses = tuple(a for a in target.addresses if a not in wrong)
            if not target.addresses:
                self._forget(target)
            if reason == Reason.HANDSHAKE_WRONG_IDENTITY and len(self._names) < limits.CANDIDATES_MAX:
                for host, port in wrong:  # whoever lives there now is worth a dial as somebody unknown
                    self._names[f"{host} {port}"] = _Target(((host, port),), None, now + self.config.retry_us)
        wait = min(30 * SECOND, self.config.retry_us << min(5, target.failures - 1))
        target.next_at = now + self.rng.jitter(wait, 20)
        return self.plan(now)

    def dial_ended(self, dial: int) -> None:
        """A Connect became a link; what is due next is planned when the link is settled."""
        target = self._dials.pop(dial, None)
        if target is not None:
            target.dial = None

    def dialled(self, dial: int) -> AuthorId | None:
        """Whom a dial under way is for, if that is known."""
        target = self._dials.get(dial)
        return None if target is None else target.author

    def want(self, peer: AuthorId, now: Instant, *, urgent: bool) -> tuple[bool, list[Effect]]:
        """The overlay wants a link with ``peer``; False if nobody knows where it is, or this hub is leaving."""
        target = self._peers.get(peer)
        if self.leaving or target is None or not target.addresses:
            return False, []
        self.wanted[peer] = urgent
        return True, self.plan(now)

    def network_changed(self, now: Instant) -> list[Effect]:
        """Addresses changed: whatever is known of names is worth a dial at once."""
        for target in self._names.values():
            target.next_at = min(target.next_at, now + 1)
            target.failures = 0
        return self.plan(now)

    def _forget(self, target: _Target) -> None:
        for name in [n for n, t in self._names.items() if t is target]:
            del self._names[name]

    def plan(self, now: Instant) -> list[Effect]:
        """Dial whom the overlay wants and which names are due; come back when the next one is."""
        if self.leaving:
            return []
        alone = len(self.links) < 2
        short = len(self.links) < self.sought
        free = (self.config.parallel_alone if alone or not self.small else self.config.parallel) - len(self._dials)
        effects: list[Effect] = []
        linked = {state.peer for state in self.links.values()}
        for peer in [peer for peer in self.wanted if peer not in linked][: max(0, free)]:
            target = self._peers.get(peer)
            if target is not None and target.dial is None:
                free -= 1
                effects.append(self._dial(target, alone))
        waiting: list[Instant] = []
        lost = not short and any(known.lost_at is not None for known in self._peers.values())
        pause = self.config.retry_us if lost else self.config.explore_us
        for target in self._names.values():
            if target.dial is not None:
                continue
            due = target.next_at if short else max(target.next_at, self._unknown_at + pause)
            if due > now:
                waiting.append(due)
            elif free > 0:
                free -= 1
                self._unknown_at = now
                effects.append(self._dial(target, alone))
        if waiting and free > 0:
            effects.append(SetTimer(TIMER, max(now + 1, min(waiting))))
        return effects

    def _dial(self, target: _Target, alone: bool) -> Connect:
        self._dial_count += 1
        target.dial = self._dial_count
        self._dials[self._dial_count] = target
        urgent = (target.author is not None and self.wanted.pop(target.author, False)) or alone
        timeout = self.config.dial_timeout_alone_us if urgent else self.config.dial_timeout_us
        if target.failures % 3 == 2:  # perhaps it is only far away: two round trips may take longer than that
            timeout = min(limits.HANDSHAKE_US, 4 * timeout)
        return Connect(self._dial_count, target.addresses, target.author, timeout)
