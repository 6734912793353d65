"""When the own chain gets a checkpoint, and what a base keeps.

A chain that only grew would end at its quota. After ``checkpoint_count`` events, or when lost branches pile up, the
author writes a checkpoint that names what still counts: the newest profile, and whatever was neither withdrawn nor has
expired. Everything else may be forgotten by everybody. What can be named is bounded, so the author is told beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocol.ids import EventId
from protocol.ledger.chain import Chain, Entry
from protocol.ledger.values import LedgerConfig
from protocol.limits import NAMED_MAX
from protocol.wire.events import CONTROL, PROFILE


def is_due(chain: Chain, config: LedgerConfig) -> bool:
    """Whether the next own event should be a checkpoint."""
    return len(chain.entries) - len(chain.named) > config.checkpoint_count or chain.tips >= config.checkpoint_branches


def keeps(entries: Iterable[Entry], gone: Callable[[Entry], bool]) -> tuple[EventId, ...]:
    """What a base made now names of ``entries``, ascending; ``gone`` says what was withdrawn or has expired."""
    kept: dict[EventId, None] = {}
    profile: Entry | None = None
    for entry in entries:
        if entry.event.kind in CONTROL or gone(entry):
            continue
        if entry.event.kind != PROFILE:
            kept[entry.event.id] = None
        elif profile is None or _newness(entry) > _newness(profile):
            profile = entry
    if profile is not None:
        kept[profile.event.id] = None
    return tuple(sorted(kept))


def has_room(chain: Chain, gone: Callable[[Entry], bool], more: int) -> bool:
    """Whether a checkpoint could still name everything after ``more`` events."""
    if len(chain.entries) + more < NAMED_MAX:
        return True
    return len(keeps(chain.entries.values(), gone)) + more < NAMED_MAX


def before(chain: Chain, last: EventId) -> list[Entry]:
    """``last`` and all that comes before it, with what its base keeps."""
    found = [entry for entry in chain.entries.values() if entry.named]
    name: EventId | None = last
    while name is not None and (entry := chain.entries.get(name)) is not None and not entry.named:
        found.append(entry)
        name = entry.event.prev
    return found


def _newness(entry: Entry) -> tuple[int, int, EventId]:
    return entry.event.order
