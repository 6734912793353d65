"""Torn crowds as this hub's person sees them: what lasts now, and the timeline (control socket, ``meshnode glitch``).

The Node says everything; here it becomes plain JSON values. Invariant: ids of records and the records themselves are
the same on every hub that holds the same observations; what only this hub knows stands apart, under ``here``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.asked import Refused, named
from meshnode.clock import boot_us, utc_ms
from protocol.statistics import GlitchStatistics
from protocol.wire.registry import AROUSAL, DIMENSIONS

if TYPE_CHECKING:
    from meshnode.daemon import Hub
    from protocol import Record, Seen, Split

LISTED_MAX: Final = 100


def now(statistics: GlitchStatistics, at: int) -> dict[str, object]:
    """What ``status`` says: one crowd or two, since when, and what was forgiven because of it."""
    split = statistics.now
    return {
        "crowds": None if split is None else [len(split.mine), len(split.theirs)],
        "alone": split is not None and len(split.mine) == 1,
        "for_s": None if split is None else round((at - split.began) / 1e6, 1),
        "mine": [] if split is None else [author.hex() for author in split.mine],
        "theirs": [] if split is None else [author.hex() for author in split.theirs],
        "back": 0 if split is None else split.back,
        "confidence": None if split is None else round(split.confidence, 3),
        "amnesty": split is not None and split.grounded,
        "so_far": len(statistics.past),
        "observations": statistics.held,
        "forgiven_today": [
            {"author": author.hex(), "windows": windows, "s": round(us / 1e6, 1)}
            for author, windows, us in statistics.amnesty
        ],
    }


def answer(hub: Hub, command: str, request: dict[str, object]) -> dict[str, object]:
    """The answer to one request whose command begins with ``glitch.``."""
    if command in ("glitch.plan", "glitch.inject", "glitch.rehearsal", "glitch.stop"):
        try:
            return hub.rehearsals.answer(command, request)
        except Refused as fault:
            return {"error": str(fault)}
    records = hub.driver.node.glitches()
    match command:
        case "glitch.list":
            statistics = hub.statistics()
            return {
                "now": now(statistics.glitch, statistics.at),
                "glitches": [_record(record) for record in records[-LISTED_MAX:]],
                "here": [_here(hub, split) for split in statistics.glitch.past],
                "rehearsed": [record.id.hex() for record in records[-LISTED_MAX:] if _rehearsed(hub, record)],
            }
        case "glitch.show":
            try:
                pairs = ((record.id, record) for record in records)
                found = named(request.get("glitch"), pairs, "glitch", "glitches", "no glitch begins with")
            except Refused as fault:
                return {"error": str(fault)}
            return _show(hub, found)
        case _:
            return {"error": f"unknown command {command[:64]!r}"}


def _show(hub: Hub, record: Record) -> dict[str, object]:
    statistics = hub.statistics().glitch
    here = _as_seen_here(hub, record)
    numbers = {split.number for split in here}
    first = min((split.began for split in here), default=0)
    last = max((split.ended or 0 for split in here), default=0)
    return {
        "glitch": _record(record) | {"seen": [_seen(seen) for seen in record.seen]},
        "here": [_here(hub, split) for split in here],
        "moods": [
            {
                "dimension": DIMENSIONS[AROUSAL].name,
                "apart_at_parting": drift.at_parting,
                "apart_at_most": drift.most,
                "apart_at_last": drift.last,
            }
            for drift in statistics.drifts
            if drift.number in numbers
        ],
        "dissonance": [
            {"author": note.author.hex(), "after_s": round((note.at - first) / 1e6, 1), "what": note.note.value}
            for note in statistics.notes
            if here and first <= note.at <= last
        ],
    }


def _as_seen_here(hub: Hub, record: Record) -> list[Split]:
    offset_us = utc_ms() * 1_000 - boot_us()
    return [split for split in hub.statistics().glitch.past if _is_same(split, record, offset_us)]


def _rehearsed(hub: Hub, record: Record) -> bool:
    """Whether it came of a rehearsal that was begun on this hub, as far as its memory reaches."""
    return any(hub.rehearsals.rehearsed(split) for split in _as_seen_here(hub, record))


def _is_same(split: Split, record: Record, offset_us: int) -> bool:
    """Whether what this hub saw itself is what a record tells: sides that meet, and times where there are any."""
    mine = {author[:8] for author in split.mine}
    alike = [2 * len(mine.intersection(side)) > len(side) for side in record.sides]
    apart_ms = abs((split.began + offset_us) // 1_000 - record.began_ms)
    return any(alike) and (not record.began_ms or apart_ms <= record.lasted_ms + 10_000)


def _record(record: Record) -> dict[str, object]:
    return {
        "id": record.id.hex(),
        "began_utc_ms": record.began_ms or None,
        "began_spread_ms": record.began_spread_ms,
        "lasted_ms": record.lasted_ms,
        "lasted_spread_ms": record.lasted_spread_ms,
        "sizes": list(record.sizes),
        "sides": [[tag.hex() for tag in side] for side in record.sides],
        "observers": len(record.seen),
        "disputed": record.disputed,
        "healed": {how.name.lower(): count for how, count in record.how},
    }


def _seen(seen: Seen) -> dict[str, object]:
    what = seen.what
    return {
        "event": seen.event.hex(),
        "author": seen.author.hex(),
        "began_utc_ms": what.began_ms or None,
        "doubt_ms": what.doubt_ms,
        "lasted_ms": what.lasted_ms,
        "mine": what.mine_count,
        "theirs": what.theirs_count,
        "how": what.how,
    }


def _here(hub: Hub, split: Split) -> dict[str, object]:
    return {
        "number": split.number,
        "kind": split.kind.value,
        "ago_s": round((boot_us() - split.began) / 1e6, 1),
        "lasted_s": None if split.ended is None else round((split.ended - split.began) / 1e6, 1),
        "noticed_after_s": round((split.noticed - split.began) / 1e6, 1),
        "mine": len(split.mine),
        "theirs": len(split.theirs),
        "confidence": round(split.confidence, 3),
        "amnesty": split.grounded,
        "how": None if split.how is None else split.how.name.lower(),
        "rehearsed": hub.rehearsals.rehearsed(split),
    }
