"""Plumtree: one message to everybody, over trees that grow, heal and shorten themselves.

Source: Leitao, Pereira, Rodrigues, Epidemic Broadcast Trees (2007), sections 3.4 to 3.8. Deviations: trees of their
own for busy authors (branches.py); announcements leave in batches after a random wait, and not at all to a neighbor
that has announced the same meanwhile, which halves them; an announcement names a message by the last four bytes of
its id, because sixteen of them would weigh a third of the message; the tree is shortened also by announcements that
come after the message; whoever comes new is told what was said lately; the cache is bounded (recent.py), and so is
what a neighbor may announce and ask for (missing.py). Section 10 of docs/protocol.md.
Invariants: nothing is delivered twice while its id is remembered; every neighbor gets each message, or word of it,
or has given word of it itself, so that on a connected overlay everybody gets everything whatever the bits say;
memory is bounded by the configuration and the neighbors.

``receive`` takes messages that were checked: the Node verifies that a payload belongs to its id and author before
(it may ask :meth:`Trees.knows` first and save the work), because what this machine gets it passes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocol import limits
from protocol.clock import SECOND, Instant
from protocol.errors import LocalProtocolError, Reason
from protocol.gossip.branches import OWN, SHARED, Branch, Branches, BranchesConfig
from protocol.gossip.missing import Missing
from protocol.gossip.recent import Recent
from protocol.gossip.trees_values import (
    TIMER,
    Deliver,
    Push,
    Refused,
    TreesConfig,
    TreesEffect,
    TreesStatistics,
    Wake,
)
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.rng import Rng
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreeMessage, TreePrune

__all__ = ["TIMER", "Deliver", "Push", "Refused", "Trees", "TreesConfig", "TreesEffect", "TreesStatistics", "Wake"]

_NEVER: Final = -(1 << 62)
_TAG: Final = limits.GOSSIP_TAG_BYTES
_ENTRY: Final = limits.IHAVE_ENTRY_BYTES


@dataclass(slots=True)  # state: changes in place
class _Neighbor:
    """``waiting``: announcements that have not left, by tag. ``answered``: what it was given on its own request."""

    waiting: dict[bytes, bytes] = field(default_factory=dict)
    answered: dict[bytes, None] = field(default_factory=dict)


class Trees:
    """The machine. Peers are authors of the hubs at the other end of links, at most one link each."""

    def __init__(self, config: TreesConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self._neighbors: dict[AuthorId, _Neighbor] = {}
        self._branches = Branches(
            BranchesConfig(
                gap_us=int(2 * SECOND / config.own_hz),
                own_max=config.own_max,
                idle_us=config.own_idle_us,
                renew_count=config.renew_count,
                renew_gap_us=config.renew_gap_us,
                rates_max=2 * limits.AUTHORS_MAX,
            )
        )
        self._recent = Recent(config.generation_us, config.generation_count_max)
        self._missing = Missing(config.graft_us, config.graft_next_us, config.per_peer_max)
        self._near = min(config.far_own_hops, config.far_shared_hops) if config.swap_late else limits.GOSSIP_HOPS_MAX
        self._flush_at: Instant | None = None
        self._wake_at: Instant | None = None

    # --- neighbors ----------------------------------------------------------------------------------------------

    def neighbor_up(self, peer: AuthorId, now: Instant) -> list[TreesEffect]:
        """A link is ready: ``peer`` is eager in every tree and is told what was said lately."""
        neighbor = self._neighbors[peer] = _Neighbor()
        self._branches.neighbors_changed(gone=peer)
        for message in self._recent.newest(self._config.recent_max):
            neighbor.waiting[message.id[-_TAG:]] = _entry(message.id, message.hops + 1)
        effects: list[TreesEffect] = []
        if neighbor.waiting and self._flush_at is None:
            self._schedule(now, effects)
        return effects

    def neighbor_down(self, peer: AuthorId, now: Instant) -> list[TreesEffect]:
        """A link is gone: every tree in which ``peer`` was the parent is grafted elsewhere at once."""
        if self._neighbors.pop(peer, None) is None:
            return []
        effects: list[TreesEffect] = []
        self._missing.neighbor_down(peer, now)
        self._arm(self._missing.due_at(), now, effects)
        self._branches.neighbors_changed(gone=peer)
        for author, branch in self._branches.every():
            if branch.source != peer:
                continue
            branch.source = None
            candidates = list(branch.lazy)
            if candidates:
                parent = self._rng.choice(candidates)
                branch.make_eager(parent)
                effects.append(Push(parent, TreeGraft(author, b"")))
        return effects

    # --- messages -----------------------------------------------------------------------------------------------

    def knows(self, id: bytes) -> bool:
        """Whether a message of this id was seen lately and would be a duplicate."""
        return self._recent.knows(id)

    def broadcast(
        self, id: bytes, author: AuthorId, payload: bytes, now: Instant, *, holder: AuthorId | None = None
    ) -> list[TreesEffect]:
        """Give a message to everybody but ``holder``; it is not delivered here. ``id`` is a digest of 16 or 32 bytes.

        It is our own, or came to us from ``holder`` in another way than on a tree.

        Raises:
            LocalProtocolError: the id or the payload has no size that may travel, or the id was used already;
                nothing changed.
        """
        if len(id) not in (limits.GOSSIP_ID_BYTES_MIN, limits.GOSSIP_ID_BYTES_MAX):
            raise LocalProtocolError("a message id has 16 or 32 bytes")
        if not 1 <= len(payload) <= limits.GOSSIP_BYTES_MAX:
            raise LocalProtocolError(f"a payload has 1..{limits.GOSSIP_BYTES_MAX} bytes")
        if self._recent.knows(id):
            raise LocalProtocolError("this id was used already")
        effects: list[TreesEffect] = []
        tree = self._branches.speak(author, now)
        holders = {} if holder is None else {holder: 0}
        self._spread(Gossip(id, author, 0, tree, payload), None, holders, now, effects)
        return effects

    def receive(self, peer: AuthorId, message: TreeMessage, now: Instant) -> list[TreesEffect]:
        """One message of a neighbor."""
        neighbor = self._neighbors.get(peer)
        if neighbor is None:
            return [Refused(peer, Reason.UNKNOWN_LINK)]
        effects: list[TreesEffect] = []
        if isinstance(message, Gossip):
            if self._recent.knows(message.id):
                self._duplicate(peer, neighbor, message, now, effects)
            else:
                self._first(peer, message, now, effects)
        elif isinstance(message, IHave):
            self._ihave(peer, neighbor, message, now, effects)
        elif isinstance(message, TreeGraft):
            self._graft(peer, neighbor, message, now, effects)
        else:
            self._pruned(peer, message.author, now)
        return effects

    def _first(self, peer: AuthorId, message: Gossip, now: Instant, effects: list[TreesEffect]) -> None:
        effects.append(Deliver(message.id, message.author, message.payload, message.hops, peer))
        offers = self._missing.arrived(message.id[-_TAG:], peer)
        branch = self._spread(message, peer, offers or {}, now, effects)
        if offers:
            best = min(offers, key=lambda offering: offers[offering])
            if best != peer and best in self._neighbors:
                self._swap(branch, message, peer, best, offers[best], now, effects)

    def _spread(
        self,
        message: Gossip,
        source: AuthorId | None,
        holders: dict[AuthorId, int],
        now: Instant,
        effects: list[TreesEffect],
    ) -> Branch:
        """Push to the eager, announce to the lazy, nothing to those who hold it."""
        branch, tree = self._branches.use(message.author, message.tree, now)
        self._recent.keep(message, source, now)
        branch.source = source
        if source is not None:
            branch.make_eager(source)
        hops = min(limits.GOSSIP_HOPS_MAX, message.hops + 1)
        onward = Gossip(message.id, message.author, hops, tree, message.payload)
        eager, lazy = branch.split(self._neighbors)
        effects += [Push(peer, onward) for peer in eager if peer != source and peer not in holders]
        if lazy:
            self._announce(message.id, hops, lazy, holders, now, effects)
        if self._wake_at is None:
            self._arm(self._recent.turn_at(), now, effects)
        return branch

    def _announce(
        self,
        id: bytes,
        hops: int,
        lazy: tuple[AuthorId, ...],
        holders: dict[AuthorId, int],
        now: Instant,
        effects: list[TreesEffect],
    ) -> None:
        entry = _entry(id, hops)
        tag = entry[:_TAG]
        count_max = self._config.ihave_ids_max
        for peer in lazy:
            if peer in holders:
                continue
            waiting = self._neighbors[peer].waiting
            waiting[tag] = entry
            if len(waiting) >= count_max:
                effects.append(Push(peer, IHave(b"".join(waiting.values()))))
                waiting.clear()
            elif self._flush_at is None:
                self._schedule(now, effects)

    def _duplicate(
        self, peer: AuthorId, neighbor: _Neighbor, message: Gossip, now: Instant, effects: list[TreesEffect]
    ) -> None:
        effects.append(Refused(peer, Reason.DUPLICATE))
        tag = message.id[-_TAG:]
        neighbor.waiting.pop(tag, None)
        self._missing.arrived(tag, peer)
        kept = self._recent.get(tag)
        if kept is None or kept[1] == peer:
            return  # long ago, or the same link twice: nothing to learn about who else brings it
        author = message.author
        if message.tree == SHARED:
            self._prune_once(peer, None, self._branches.shared, now, effects)
        else:
            branch = self._branches.of(author, message.tree)
            self._prune_once(peer, author, branch if branch.own else None, now, effects)

    def _prune_once(
        self,
        peer: AuthorId,
        author: AuthorId | None,
        branch: Branch | None,
        now: Instant,
        effects: list[TreesEffect],
    ) -> None:
        if branch is not None:
            if now - branch.lazy.get(peer, _NEVER) < self._config.prune_again_us:
                return
            branch.make_lazy(peer, now)
        effects.append(Push(peer, TreePrune(author)))

    def _pruned(self, peer: AuthorId, author: AuthorId | None, now: Instant) -> None:
        branch = self._branches.shared if author is None else self._branches.adopt(author, now)
        if branch is not None and peer not in branch.lazy:
            branch.make_lazy(peer, _NEVER)

    def _graft(
        self, peer: AuthorId, neighbor: _Neighbor, graft: TreeGraft, now: Instant, effects: list[TreesEffect]
    ) -> None:
        if not graft.ids:
            branch = self._branches.shared if graft.author is None else self._branches.adopt(graft.author, now)
            (branch or self._branches.shared).make_eager(peer)
            return
        for start in range(0, len(graft.ids), _TAG):
            tag = graft.ids[start : start + _TAG]
            kept = self._recent.get(tag)
            if kept is None or tag in neighbor.answered:
                continue
            if len(neighbor.answered) >= self._config.per_peer_max:
                effects.append(Refused(peer, Reason.PENDING_LIMIT))
                return
            neighbor.answered[tag] = None
            neighbor.waiting.pop(tag, None)
            message, _ = kept
            self._branches.of(message.author, message.tree).make_eager(peer)
            hops = min(limits.GOSSIP_HOPS_MAX, message.hops + 1)
            tree = min(OWN, message.tree)  # one copy renews nothing
            effects.append(Push(peer, Gossip(message.id, message.author, hops, tree, message.payload)))

    def _ihave(
        self, peer: AuthorId, neighbor: _Neighbor, ihave: IHave, now: Instant, effects: list[TreesEffect]
    ) -> None:
        entries = ihave.entries
        waiting = neighbor.waiting
        get = self._recent.get
        for start in range(0, len(entries), _ENTRY):
            tag = entries[start : start + _TAG]
            waiting.pop(tag, None)  # it need not be told what it tells us
            kept = get(tag)
            if kept is None:
                if not self._missing.announced(tag, peer, entries[start + _TAG], now):
                    effects.append(Refused(peer, Reason.PENDING_LIMIT))
                    return
                self._arm(self._missing.due_at(), now, effects)
            elif kept[0].hops > self._near:
                message, source = kept
                if source is not None and source != peer:
                    branch = self._branches.of(message.author, message.tree)
                    self._swap(branch, message, source, peer, entries[start + _TAG], now, effects)

    def _swap(
        self,
        branch: Branch,
        message: Gossip,
        source: AuthorId,
        better: AuthorId,
        hops: int,
        now: Instant,
        effects: list[TreesEffect],
    ) -> None:
        """The paper's section 3.8: a shorter way exists, so it takes the place of the one that the message came."""
        config = self._config
        gain, far = (
            (config.swap_own_hops, config.far_own_hops)
            if branch.own
            else (config.swap_shared_hops, config.far_shared_hops)
        )
        if message.hops <= far or gain is None or message.hops - hops < gain:
            return
        if source in branch.lazy or source not in self._neighbors or better not in branch.lazy:
            return
        if now - branch.swapped_at < config.swap_gap_us:
            return
        branch.swapped_at = now
        branch.source = better
        author = message.author if branch.own else None
        branch.make_eager(better)
        effects.append(Push(better, TreeGraft(author, b"")))
        branch.make_lazy(source, now)
        effects.append(Push(source, TreePrune(author)))

    # --- time ---------------------------------------------------------------------------------------------------

    def timer(self, key: TimerKey, now: Instant) -> list[TreesEffect]:
        """What :class:`Wake` asked for; harmless at any other time."""
        assert key == TIMER
        self._wake_at = None
        effects: list[TreesEffect] = []
        if self._flush_at is not None and self._flush_at <= now:
            self._flush_at = None
            for peer, neighbor in self._neighbors.items():
                if neighbor.waiting:
                    effects.append(Push(peer, IHave(b"".join(neighbor.waiting.values()))))
                    neighbor.waiting.clear()
        if self._recent.expire(now):
            for neighbor in self._neighbors.values():
                neighbor.answered.clear()
        for peer, tags in self._missing.ask(now).items():
            for start in range(0, len(tags), limits.TREE_GRAFT_IDS_MAX):
                ids = b"".join(tags[start : start + limits.TREE_GRAFT_IDS_MAX])
                effects.append(Push(peer, TreeGraft(None, ids)))
        for at in (self._flush_at, self._missing.due_at(), self._recent.turn_at()):
            self._arm(at, now, effects)
        return effects

    def _schedule(self, now: Instant, effects: list[TreesEffect]) -> None:
        longest = self._config.ihave_us
        self._flush_at = now + 1 + longest // 4 + self._rng.below(3 * longest // 4 + 1)
        self._arm(self._flush_at, now, effects)

    def _arm(self, at: Instant | None, now: Instant, effects: list[TreesEffect]) -> None:
        if at is not None and (self._wake_at is None or at < self._wake_at):
            self._wake_at = at = max(at, now + 1)
            effects.append(Wake(TIMER, at))

    def statistics(self) -> TreesStatistics:
        """An immutable picture."""
        eager, lazy = self._branches.shared.split(self._neighbors)
        return TreesStatistics(
            len(self._neighbors),
            len(eager),
            len(lazy),
            len(self._branches),
            len(self._recent),
            len(self._missing),
            sum(len(neighbor.waiting) for neighbor in self._neighbors.values()),
        )


def _entry(id: bytes, hops: int) -> bytes:
    return id[-_TAG:] + bytes((min(limits.GOSSIP_HOPS_MAX, hops),))
