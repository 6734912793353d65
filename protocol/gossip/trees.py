"""Plumtree: one message to everybody, over trees that grow, heal and shorten themselves.

Source: Leitao, Pereira, Rodrigues, Epidemic Broadcast Trees (2007), sections 3.4 to 3.8. Deviations: trees of their
own for busy authors (branches.py); announcements leave in batches after a random wait, and not at all to a neighbor
that has announced the same meanwhile, which halves them; an announcement names a message by the last four bytes of
its id, because sixteen of them would weigh a third of the message; the tree is shortened also by announcements that
come after the message; a duplicate in the shared tree prunes a link that has been there for long only if more
follow; whoever comes new is told what was said lately; the cache is bounded (recent.py), and so is what a neighbor
may announce and ask for (missing.py). Section 10 of docs/protocol.md.
Invariants: nothing is delivered twice while its id is remembered; every neighbor gets each message, or word of it,
or has given word of it itself, so that on a connected overlay everybody gets everything whatever the bits say;
memory is bounded by the configuration and the neighbors.

``receive`` takes messages that were checked: the Node verifies that a payload belongs to its id and author before
(it may ask :meth:`Trees.knows` first and save the work), because what this machine gets it passes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol import limits
from protocol.clock import SECOND, Instant
from protocol.effects import SetTimer
from protocol.errors import LocalProtocolError, Reason
from protocol.gossip.announcements import Announcements
from protocol.gossip.branches import OWN, SHARED, Branch, Branches, BranchesConfig, Neighbor
from protocol.gossip.grafting import BESIDE, ENTRIES, Grafting
from protocol.gossip.missing import Missing
from protocol.gossip.recent import Kept, Recent
from protocol.gossip.trees_values import (
    TIMER,
    Deliver,
    Push,
    Refused,
    TreesConfig,
    TreesEffect,
    TreesStatistics,
)
from protocol.ids import AuthorId
from protocol.inputs import TimerKey
from protocol.rng import Rng
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreeMessage, TreePrune

__all__ = ["TIMER", "Deliver", "Push", "Refused", "Trees", "TreesConfig", "TreesEffect", "TreesStatistics"]

_NEVER: Final = -(1 << 62)
_TAG: Final = limits.GOSSIP_TAG_BYTES
_HOPS_MAX: Final = limits.GOSSIP_HOPS_MAX
_NOBODY: Final[Mapping[AuthorId, int]] = {}


class Trees:
    """The machine. Peers are authors of the hubs at the other end of links, at most one link each."""

    def __init__(self, config: TreesConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self._neighbors: dict[AuthorId, Neighbor] = {}
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
        self._grafting = Grafting(self._neighbors, self._branches, self._recent, rng)
        self._far = min(config.far_own_hops, config.far_shared_hops)
        self._near = self._far if config.swap_late else _HOPS_MAX
        self._detour = config.detour_hops if config.swap_late else _HOPS_MAX
        self._announcements = Announcements()
        self._made_at: Instant | None = None
        self._flush_at: Instant | None = None
        self._wake_at: Instant | None = None

    # --- neighbors ----------------------------------------------------------------------------------------------

    def neighbor_up(self, peer: AuthorId, now: Instant) -> list[TreesEffect]:
        """A link is ready: ``peer`` is eager in every tree and is told what was said lately."""
        known, waiting = self._neighbors.get(peer), self._announcements
        neighbor = self._neighbors[peer] = Neighbor(waiting.take_bit() if known is None else known.bit, now)
        self._branches.neighbors_changed(gone=peer)
        lately = self._recent.newest(self._config.recent_max)
        effects: list[TreesEffect] = []
        for message in lately:
            waiting.add(message.id[-_TAG:], neighbor.bit)
        if lately and self._flush_at is None:
            self._schedule(now, effects)
        return effects

    def neighbor_down(self, peer: AuthorId, now: Instant) -> list[TreesEffect]:
        """A link is gone: every tree in which ``peer`` was the parent is grafted elsewhere at once."""
        neighbor = self._neighbors.pop(peer, None)
        if neighbor is None:
            return []
        self._announcements.give_back(neighbor.bit)
        effects: list[TreesEffect] = []
        self._missing.neighbor_down(peer, now)
        self._arm(self._missing.due_at(), now, effects)
        self._branches.neighbors_changed(gone=peer)
        return effects + self._grafting.gone(peer, now)

    def neighbor_parting(self, peer: AuthorId, now: Instant) -> list[TreesEffect]:
        """A link will end soon: in every tree in which ``peer`` is the parent others are asked to push as well."""
        neighbor = self._neighbors.get(peer)
        if neighbor is None or neighbor.parting:
            return []
        neighbor.parting = True
        return list(self._grafting.parting(peer, now))

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
        holders = _NOBODY if holder is None else {holder: 0}
        self._spread(id[-_TAG:], Gossip(id, author, 0, tree, payload), None, holders, now, effects)
        return effects

    def receive(self, peer: AuthorId, message: TreeMessage, now: Instant) -> list[TreesEffect]:
        """One message of a neighbor."""
        neighbor = self._neighbors.get(peer)
        if neighbor is None:
            return [Refused(peer, Reason.UNKNOWN_LINK)]
        effects: list[TreesEffect] = []
        if type(message) is Gossip:
            if self._recent.knows(message.id):
                self._duplicate(peer, neighbor, message, now, effects)
            else:
                self._first(peer, message, now, effects)
        elif isinstance(message, IHave):
            self._ihave(peer, neighbor, message, now, effects)
        elif isinstance(message, TreeGraft):
            self._graft(peer, neighbor, message, now, effects)
        else:
            self._pruned(peer, message.author, now, effects)
        return effects

    def _first(self, peer: AuthorId, message: Gossip, now: Instant, effects: list[TreesEffect]) -> None:
        effects.append(Deliver(message.id, message.author, message.payload, message.hops, peer))
        tag = message.id[-_TAG:]
        offers = self._missing.arrived(tag, peer) if tag in self._missing.wants else None
        branch = self._spread(tag, message, peer, offers or _NOBODY, now, effects)
        if not offers:
            return
        if branch.own:
            sooner = next((one for one in offers if one in branch.lazy), None)
            if sooner is not None and now - branch.swapped_at >= self._config.swap_gap_us:
                self._exchange(branch, message.author, peer, sooner, now, effects)
        elif message.hops > self._far:
            best = min(offers, key=lambda offering: offers[offering])
            if best != peer and best in self._neighbors:
                self._swap(branch, message, peer, best, offers[best], now, effects)

    def _spread(
        self,
        tag: bytes,
        message: Gossip,
        source: AuthorId | None,
        holders: Mapping[AuthorId, int],
        now: Instant,
        effects: list[TreesEffect],
    ) -> Branch:
        """Push to the eager, announce to the lazy, nothing to those who hold it."""
        branch, tree = self._branches.use(message.author, message.tree, now)
        self._recent.keep(message, source, now)
        if source != branch.source or source in branch.lazy:
            self._replace(branch, source, message.author, now, effects)
        hops = message.hops + 1 if message.hops < _HOPS_MAX else _HOPS_MAX
        eager = branch.eager
        if eager is None:
            eager = branch.split(self._neighbors)
        if len(eager) > 1 or source is None:
            onward = Gossip(message.id, message.author, hops, tree, message.payload)
            effects += [Push(peer, onward) for peer in eager if peer != source and peer not in holders]
        if branch.quiet:
            self._announce(tag, branch.quiet, holders, now, effects)
        if self._wake_at is None:
            self._arm(self._recent.turn_at(), now, effects)
        return branch

    def _replace(
        self, branch: Branch, source: AuthorId | None, author: AuthorId, now: Instant, effects: list[TreesEffect]
    ) -> None:
        """Somebody else has brought a message first; if it was a parting neighbor until now, that is needed no more."""
        before, branch.source = branch.source, source
        if source in branch.lazy:
            branch.make_eager(source)
        if before in self._neighbors and self._neighbors[before].parting and before not in branch.lazy:
            branch.make_lazy(before, now)
            effects.append(Push(before, TreePrune(author if branch.own else None)))

    def _announce(
        self, tag: bytes, mask: int, holders: Mapping[AuthorId, int], now: Instant, effects: list[TreesEffect]
    ) -> None:
        for peer in holders:
            if peer in self._neighbors:
                mask &= ~self._neighbors[peer].bit
        if not mask:
            return
        masks = self._announcements.masks
        masks[tag] = masks.get(tag, 0) | mask
        if len(masks) >= self._config.ihave_ids_max:
            self._flush(effects)
        elif self._flush_at is None:
            self._schedule(now, effects)

    def _flush(self, effects: list[TreesEffect]) -> None:
        """Everybody is told what waits for it."""
        ready = self._announcements.take(self._recent)
        for peer, neighbor in self._neighbors.items():
            bit = neighbor.bit
            entries = [entry for mask, entry in ready if mask & bit]
            while entries:
                effects.append(Push(peer, IHave(b"".join(entries[: limits.IHAVE_IDS_MAX]))))
                del entries[: limits.IHAVE_IDS_MAX]

    def _duplicate(
        self, peer: AuthorId, neighbor: Neighbor, message: Gossip, now: Instant, effects: list[TreesEffect]
    ) -> None:
        effects.append(Refused(peer, Reason.DUPLICATE))
        tag = message.id[-_TAG:]
        self._announcements.drop(tag, neighbor.bit)
        self._missing.arrived(tag, peer)
        kept = self._recent.get(tag)
        if kept is None or kept[1] == peer:
            return  # long ago, or the same link twice: nothing to learn about who else brings it
        author = message.author
        if self._relieved(peer, message, kept, now, effects):
            return
        if message.tree == SHARED:
            shared = self._branches.shared
            if peer in shared.lazy or not self._holds(neighbor, now):
                self._prune_once(peer, None, shared, now, effects)
        else:
            branch = self._branches.of(author, message.tree)
            if peer != branch.source or not branch.own:  # else it has just been asked to push
                self._prune_once(peer, author, branch if branch.own else None, now, effects)

    def _relieved(self, peer: AuthorId, message: Gossip, kept: Kept, now: Instant, effects: list[TreesEffect]) -> bool:
        """Whether this duplicate shows another way for what a parting neighbor has brought, which is pruned instead."""
        first, source = kept
        bringer = None if source is None else self._neighbors.get(source)
        if bringer is None or not bringer.parting or self._neighbors[peer].parting:
            return False
        branch = self._branches.of(message.author, message.tree)
        if branch.source != source or message.hops - 1 - first.hops > BESIDE:
            return False
        if peer in branch.lazy:
            self._replace(branch, peer, message.author, now, effects)
        else:  # the two copies have crossed, so ours makes us lazy there
            branch.make_lazy(peer, now)
            effects.append(Push(peer, TreeGraft(message.author if branch.own else None, b"")))
        return True

    def _holds(self, neighbor: Neighbor, now: Instant) -> bool:
        """Whether to leave it to others to open the circle that a duplicate in the shared tree has come round."""
        hold_us = self._config.hold_us
        if self._made_at is None:
            self._made_at = now  # the first flood, which makes the tree
        if not hold_us or now - max(self._made_at, neighbor.since) < self._config.settled_us:
            return False
        if neighbor.prune_at is None:
            neighbor.prune_at = now + hold_us // 8 + self._rng.below(hold_us)
        if now < neighbor.prune_at:
            return True
        neighbor.prune_at = None
        return False

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

    def _pruned(self, peer: AuthorId, author: AuthorId | None, now: Instant, effects: list[TreesEffect]) -> None:
        branch = self._branches.shared if author is None else self._branches.adopt(author, now)
        if branch is None or peer in branch.lazy:
            return
        if author is not None and branch.own and branch.source == peer:
            effects += self._grafting.pruned(author, branch, now)
        branch.make_lazy(peer, _NEVER)

    def _graft(
        self, peer: AuthorId, neighbor: Neighbor, graft: TreeGraft, now: Instant, effects: list[TreesEffect]
    ) -> None:
        if not graft.ids:
            branch = self._branches.shared if graft.author is None else self._branches.adopt(graft.author, now)
            branch = branch or self._branches.shared
            branch.make_eager(peer)
            for tag in self._announcements.waiting(neighbor.bit):
                kept = self._recent.get(tag)
                if kept is not None and self._branches.of(kept[0].author, kept[0].tree) is branch:
                    self._give(peer, neighbor, tag, kept[0], effects)
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
            self._branches.of(kept[0].author, kept[0].tree).make_eager(peer)
            self._give(peer, neighbor, tag, kept[0], effects)

    def _give(
        self, peer: AuthorId, neighbor: Neighbor, tag: bytes, message: Gossip, effects: list[TreesEffect]
    ) -> None:
        self._announcements.drop(tag, neighbor.bit)
        hops = min(_HOPS_MAX, message.hops + 1)
        tree = min(OWN, message.tree)  # one copy renews nothing
        effects.append(Push(peer, Gossip(message.id, message.author, hops, tree, message.payload)))

    def _ihave(
        self, peer: AuthorId, neighbor: Neighbor, ihave: IHave, now: Instant, effects: list[TreesEffect]
    ) -> None:
        bit, masks = neighbor.bit, self._announcements.masks
        neighbor.heard.append(ihave.entries)
        fresh, aging, near = self._recent.fresh, self._recent.aging, self._near
        detour = self._detour
        missing = False
        for tag, hops in ENTRIES.iter_unpack(ihave.entries):
            kept = fresh.get(tag) or aging.get(tag)
            mask = masks.get(tag)
            if mask is not None and mask & bit:  # it need not be told what it tells us
                masks[tag] = mask ^ bit
            if kept is None:
                missing = True
                if not self._missing.announced(tag, peer, hops, now):
                    effects.append(Refused(peer, Reason.PENDING_LIMIT))
                    break
            elif kept[0].hops > near or kept[0].hops - hops >= detour:
                message, source = kept
                if source is not None and source != peer:
                    branch = self._branches.of(message.author, message.tree)
                    self._swap(branch, message, source, peer, hops, now, effects)
        if missing:
            self._arm(self._missing.due_at(), now, effects)

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
        if branch.own:
            gain = config.swap_own_hops if message.hops > config.far_own_hops else config.detour_hops
        else:
            gain = config.swap_shared_hops if message.hops > config.far_shared_hops else None
        if gain is None or message.hops - hops < gain:
            return
        if source in branch.lazy or source not in self._neighbors or better not in branch.lazy:
            return
        if now - branch.swapped_at < config.swap_gap_us:
            return
        if branch.renewed_at is not None and branch.slower_us(better) > config.swap_slower_us:
            return
        self._exchange(branch, message.author, source, better, now, effects)

    def _exchange(
        self,
        branch: Branch,
        author: AuthorId,
        source: AuthorId,
        better: AuthorId,
        now: Instant,
        effects: list[TreesEffect],
    ) -> None:
        branch.swapped_at = now
        branch.source = better
        tree = author if branch.own else None
        branch.make_eager(better)
        effects.append(Push(better, TreeGraft(tree, b"")))
        branch.make_lazy(source, now)
        effects.append(Push(source, TreePrune(tree)))

    # --- time ---------------------------------------------------------------------------------------------------

    def timer(self, key: TimerKey, now: Instant) -> list[TreesEffect]:
        """What :class:`SetTimer` asked for; harmless at any other time."""
        assert key == TIMER
        self._wake_at = None
        effects: list[TreesEffect] = []
        if self._flush_at is not None and self._flush_at <= now:
            self._flush_at = None
            self._flush(effects)
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
            effects.append(SetTimer(TIMER, at))

    def statistics(self) -> TreesStatistics:
        """An immutable picture."""
        shared = self._branches.shared
        eager = shared.split(self._neighbors)
        return TreesStatistics(
            len(self._neighbors),
            len(eager),
            shared.quiet.bit_count(),
            len(self._branches),
            len(self._recent),
            len(self._missing),
            len(self._announcements),
        )
