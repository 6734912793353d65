"""The hub's state as plain JSON values: one shape for the control socket, the CLI and later the page."""

from __future__ import annotations

import os
import resource
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from meshnode import glitches
from meshnode.clock import boot_us
from protocol import Crowd
from protocol.clock import Instant
from protocol.statistics import AuthorStatistics, LinkStatistics, NodeStatistics, OverlayStatistics
from protocol.wire.registry import METHODS

if TYPE_CHECKING:
    from meshnode.daemon import Hub

FORMAT = 1


def status(hub: Hub) -> dict[str, object]:
    """Everything ``meshnode status --json`` prints; docs/status.md explains each key."""
    statistics = hub.statistics()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "format": FORMAT,
        "pid": os.getpid(),
        "author": statistics.author.hex(),
        "boot": statistics.boot,
        "seq": statistics.seq,
        "up_s": round((boot_us() - hub.ready_us) / 1e6, 3) if hub.ready_us else 0.0,
        "mesh": {
            "id": hub.opened.mesh.mesh_id.hex(),
            "name": hub.config.mesh.name,
            "admission": statistics.admission,
            "readable_by": _readable_by(statistics.admission),
        },
        "listen": [list(address) for address in hub.addresses],
        "sharing": statistics.sharing,
        "notices": [*hub.config.notices, *hub.warnings.values()],
        "lab": hub.lab is not None,
        "cut": hub.lab is not None and hub.lab.active,
        "rehearsal": hub.rehearsals.status(),
        "crowd": crowd(statistics),
        "glitch": glitches.now(statistics.glitch, statistics.at),
        "trusted_crowd": _figures(statistics.trusted),
        "authors": [author(line, statistics) for line in statistics.authors],
        "links": [link(line) for line in statistics.links],
        "exiles": [exile.hex() for exile in statistics.exiles],
        "overlay": overlay(statistics.overlay, statistics.at),
        "opinions": [
            {"peer": line.peer.hex(), "state": line.state, "since_s": round((statistics.at - line.since) / 1e6, 1)}
            | ({"why": line.why} if line.why else {})
            for line in statistics.opinions
        ],
        "known_peers": statistics.known_peers,
        "coverage": asdict(statistics.coverage),
        "date_known": statistics.date_known,
        "durable": asdict(statistics.durable) | {"forked": [author.hex() for author in statistics.durable.forked]},
        "store": {"ok": not hub.store.health, "why": hub.store.health},
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "counters": {
            "dropped": _merged(statistics.drops, hub.driver.counters),
            "received": statistics.received,
            "sent": statistics.sent,
            "verified": statistics.verified,
            "handshakes_pending": hub.admission.pending,
        },
        "mdns": None if hub.mdns is None else asdict(hub.mdns.statistics()),
    }


def overlay(views: OverlayStatistics, now: Instant) -> dict[str, Any]:
    """Whom this hub is linked with, knows and looks for, and why."""
    return {
        "small": views.small,
        "neighbors": [
            {
                "peer": line.peer.hex(),
                "why": line.why,
                "dialled_by_us": line.initiator,
                "for_s": round((now - line.since) / 1e6, 1),
                "known_s": round((now - line.known_at) / 1e6, 1),
            }
            for line in views.neighbors
        ],
        "passive": [peer.hex() for peer in views.passive],
        "reserve": views.reserve,
        "exiles": [
            {
                "peer": line.peer.hex(),
                "why": line.why,
                "lost_s": round((now - line.lost_at) / 1e6, 1),
                "dials": line.dials,
            }
            for line in views.exiles
        ],
    }


def _readable_by(admission: str) -> str:
    if admission == "open":
        return "everybody who knows the name of this mesh"
    return "everybody who holds this mesh's secret"


def _merged(*counters: dict[str, int]) -> dict[str, int]:
    out: dict[str, int] = {}
    for counter in counters:
        for key, value in counter.items():
            out[str(key)] = out.get(str(key), 0) + value
    return dict(sorted(out.items()))


def crowd(statistics: NodeStatistics) -> dict[str, object]:
    """How many are here, how they feel, how sure that is, and how it was computed."""
    return {
        "in_reach": len(statistics.in_reach),
        "out_of_reach": [
            {"author": gone.hex(), "for_s": round((statistics.at - since) / 1e6, 1)}
            for gone, since in statistics.out_of_reach
        ],
        **_figures(statistics.crowd),
    }


def _figures(picture: Crowd) -> dict[str, object]:
    return {
        "n": picture.n,
        "left_out": picture.left_out,
        "dimension": "arousal",
        "mean": picture.mean,
        "mean_se": picture.mean_se,
        "spread": picture.spread,
        "method": picture.method,
        "reason": picture.reason,
    }


def author(line: AuthorStatistics, statistics: NodeStatistics) -> dict[str, object]:
    """One person's line; the id is a pseudonym of this mesh."""
    return {
        "author": line.author.hex(),
        "own": line.own,
        "linked": line.hops == 1,
        "hops": line.hops,
        "in_reach": line.author in statistics.in_reach,
        "boot": line.boot,
        "seq": line.seq,
        "age_ms": line.age_us // 1_000,
        "lease_left_ms": line.lease_left_us // 1_000,
        "cadence_ms": line.cadence_ms,
        "quality": round(line.quality, 3),
        "method": METHODS.get(line.method, str(line.method)),
        "attention": line.attention,
        "values": {name: {"value": value, "sd": sd} for name, value, sd in line.values},
    }


def link(line: LinkStatistics) -> dict[str, object]:
    """One link's line."""
    return {
        "peer": line.peer.hex(),
        "dialled_by_us": line.initiator,
        "state": "open" if line.open else "opening",
        "up_s": round(line.up_us / 1e6, 3),
        "silent_ms": line.silent_us // 1_000,
        "rtt_ms": None if line.rtt_us is None else round(line.rtt_us / 1e3, 3),
        "agent": line.agent,
        "waiting": line.waiting,
        "lazy": line.lazy,
        "neighbors": [peer.hex() for peer in line.neighbors],
    }
