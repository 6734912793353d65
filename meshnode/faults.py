"""What a rehearsal may do to a hub: the faults, their bounds, and how they are asked for and told.

Source: what chaos engineering tools learned the hard way. Pumba's `tc` rules outlive a killed Pumba, a failed injection
of Chaos Mesh was never recovered, Chaos Toolkit plays no rollback when it is interrupted: here nothing is set outside
the process, and one undo runs however a rehearsal ends. Pure: whom a share draws is chosen by the given generator.
Invariant: a fault makes a hub worse only in ways that weather could, and none can lose what is stored: a date ahead
would erase words before their time, so it is not offered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from meshnode.asked import Refused, named
from protocol.clock import MS, Duration
from protocol.ids import AuthorId, short
from protocol.rng import Rng

FOR_S: Final = (1.0, 120.0)
"""Twice the longest lease: after that nothing of others is shown any more, and a longer rehearsal shows nothing new."""
FOR_S_DEFAULT: Final = 10.0
CONDUCTS: Final = ("replay", "flood", "garbage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """This share of segments comes again, later; up to 0.6, which hubs are held to bear."""

    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Each way, and up to ``jitter_us`` more. Up to 1 s each: whoever is slower than a dial's time-out is cut off."""

    delay_us: Duration
    jitter_us: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Nothing passes; a share up to 1 of those in reach, 1 is everybody, also whoever comes."""

    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The date is so far behind, up to a day; 0: nothing vouches for it."""

    behind_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Starvation:
    """The loop stands still for ``burst_us``, up to 3 s (a command waits 5 s for its answer), then has ``awake_us``."""

    burst_us: Duration
    awake_us: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Rogue:
    """A stranger joins who does one of ``CONDUCTS``."""

    conduct: str


Fault: TypeAlias = Loss | Delay | Split | Clock | Starvation | Rogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One rehearsal: ``name`` of the fault, whom it concerns (None: everybody), for how long."""

    name: str
    fault: Fault
    peers: tuple[AuthorId, ...] | None
    for_us: Duration


def planned(request: Mapping[str, object], known: Sequence[AuthorId], rng: Rng) -> Plan:
    """What a request asks for; ``known`` are those it may name.

    Raises:
        Refused: names the field and its bounds.
    """
    asked = {key: value for key, value in request.items() if key not in ("cmd", "fault") and value is not None}
    name = request.get("fault")
    for_us = round(_number(asked, "for_s", *FOR_S, FOR_S_DEFAULT) * 1_000 * MS)
    if name == "split" and {"peers", "share"} <= asked.keys():
        raise Refused("a split is from a share or from peers, not both")
    fault = _fault(name, asked)
    peers = _peers(asked.pop("peers"), known) if "peers" in asked and isinstance(fault, Loss | Delay | Split) else None
    if asked:
        raise Refused(f"a rehearsal of {name} has no {min(asked)!r}")
    if isinstance(fault, Split) and peers is None and fault.share < 1:
        peers = tuple(sorted(rng.sample(known, math.ceil(fault.share * len(known)))))
        if not peers:
            raise Refused("nobody is in reach to be split from")
    return Plan(name=str(name), fault=fault, peers=peers, for_us=for_us)


def _fault(name: object, asked: dict[str, object]) -> Fault:
    match name:
        case "loss":
            return Loss(share=_number(asked, "share", 0.01, 0.6, 0.2))
        case "delay":
            delay, jitter = _number(asked, "delay_ms", 1, 1_000, 200), _number(asked, "jitter_ms", 0, 1_000, 50)
            return Delay(delay_us=round(delay * MS), jitter_us=round(jitter * MS))
        case "split":
            return Split(share=_number(asked, "share", 0.01, 1, 1))
        case "clock":
            return Clock(behind_ms=round(_number(asked, "behind_s", 0, 86_400, 300) * 1_000))
        case "starvation":
            burst, awake = _number(asked, "burst_ms", 10, 3_000, 1_000), _number(asked, "awake_ms", 500, 10_000, 1_000)
            return Starvation(burst_us=round(burst * MS), awake_us=round(awake * MS))
        case "rogue":
            conduct = asked.pop("conduct", CONDUCTS[0])
            if conduct not in CONDUCTS:
                raise Refused(f"conduct is one of {', '.join(CONDUCTS)}, not {str(conduct)[:32]!r}")
            return Rogue(conduct=str(conduct))
        case _:
            raise Refused(f"fault is one of loss, delay, split, clock, starvation, rogue, not {str(name)[:32]!r}")


def _number(asked: dict[str, object], key: str, low: float, high: float, default: float) -> float:
    value = asked.pop(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(f"{key} is a number from {low:g} to {high:g}, not {str(value)[:32]!r}")
    return float(value)


def _peers(wanted: object, known: Sequence[AuthorId]) -> tuple[AuthorId, ...]:
    if not isinstance(wanted, list | tuple) or not wanted:
        raise Refused("peers is a list of the beginnings of ids")
    pairs = [(author, author) for author in known]
    found = [named(name, pairs, "hub", "hubs in reach", "no hub in reach begins with") for name in wanted]
    return tuple(dict.fromkeys(found))


def in_words(plan: Plan) -> str:
    """What happens to the hub, to follow "this hub": a sentence without its end."""
    match plan.fault:
        case Loss(share=share):
            return f"loses {share:.0%} of what passes on its links{_with(plan)}; it comes again, later"
        case Delay(delay_us=delay, jitter_us=jitter):
            more = f" and up to {jitter / MS:g} ms more" if jitter else ""
            return f"hears and says everything{_with(plan)} {delay / MS:g} ms{more} later"
        case Split():
            return f"and {'everybody else' if plan.peers is None else _names(plan.peers)} cannot reach each other"
        case Clock(behind_ms=0):
            return "has no date that anything vouches for"
        case Clock(behind_ms=behind):
            return f"reads a date that is {behind / 1_000:g} s behind"
        case Starvation(burst_us=burst, awake_us=awake):
            return f"stands still for {burst / MS:g} ms, runs for {awake / MS:g} ms, and so on"
        case Rogue(conduct="replay"):
            return "is joined by a stranger of its own making, who repeats what others have said"
        case Rogue(conduct="flood"):
            return "is joined by a stranger of its own making, who says much more than anybody can check"
        case Rogue():
            return "is joined, again and again, by a stranger of its own making, who talks rubbish"


def _with(plan: Plan) -> str:
    return "" if plan.peers is None else f" with {_names(plan.peers)}"


def _names(peers: Sequence[AuthorId]) -> str:
    names = [short(peer) for peer in peers[:8]]
    more = len(peers) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
