"""Texts for people; every figure comes with its uncertainty, its sample and how it was computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from meshnode.cli import inject
from meshnode.cli.glitch import now_text

_BAR = 21


def _number(value: float | None, form: str = "+.2f") -> str:
    return "unknown" if value is None else format(value, form)


def gauge(value: float | None, sd: float | None) -> str:
    """A line from -1 to 1 with the value and, where there is room, its standard deviation on both sides."""
    cells = ["·"] * _BAR
    if value is None:
        return "".join(cells)
    at = round((value + 1) / 2 * (_BAR - 1))
    if sd is not None:
        reach = round(sd / 2 * (_BAR - 1))
        for cell in range(max(0, at - reach), min(_BAR - 1, at + reach) + 1):
            cells[cell] = "─"
    cells[at] = "●"
    return "".join(cells)


def crowd_text(crowd: dict[str, Any]) -> str:
    """One sentence about who is here and how the crowd feels."""
    gone = crowd["out_of_reach"]
    here = f"we are {crowd['in_reach']} now"
    if gone:
        longest = max(entry["for_s"] for entry in gone)
        here += f", {len(gone)} are out of reach (for up to {longest:.0f} s)"
    if crowd["mean"] is None:
        return f"{here}; no crowd figure: {crowd['reason']}"
    return (
        f"{here}; arousal {_number(crowd['mean'])} ± {crowd['mean_se']:.2f} (standard error), "
        f"spread {crowd['spread']:.2f}, n = {crowd['n']}, {crowd['left_out']} left out for quality, {crowd['method']}"
    )


def author_row(line: dict[str, Any]) -> str:
    """One person."""
    arousal = line["values"].get("arousal", {"value": None, "sd": None})
    value, sd = arousal["value"], arousal["sd"]
    state = "self" if line["own"] else "linked" if line["linked"] else "relayed" if line["in_reach"] else "out of reach"
    hops = "?" if line["hops"] is None else str(line["hops"])
    shown = f"{_number(value)} ± {_number(sd, '.2f')}" if value is not None else "unknown"
    return (
        f"{line['author'][:10]}  {gauge(value, sd)}  {shown:<16} quality {line['quality']:.2f}  "
        f"age {line['age_ms'] / 1000:4.1f} s  hops {hops}  {state}"
    )


def status_text(status: dict[str, Any]) -> str:
    """The whole status for a terminal."""
    mesh = status["mesh"]
    sharing = "sharing with the commons" if status["sharing"] else "sharing nothing"
    hub = f"hub {status['author'][:10]}, boot {status['boot']}, {sharing}"
    lines = [
        f"{hub}; {mesh['admission']} mesh {mesh['name']!r}, readable by {mesh['readable_by']}",
        *_torn(status),
        crowd_text(status["crowd"]),
        "arousal is inferred from the body and may be wrong; -1 calm ... +1 stirred",
    ]
    lines += [author_row(line) for line in status["authors"]]
    links = status["links"]
    lines.append(
        f"{sum(link['state'] == 'open' for link in links)} links, {len(status['exiles'])} lost and being dialled"
    )
    durable = status["durable"]
    lines.append(
        f"{durable['events']} durable events of {durable['authors']} authors"
        + (f", {durable['wanted']} payloads still to come" if durable["wanted"] else "")
        + ("; asking others for our own last word before anything new is signed" if durable["guarded"] else "")
        + ("" if status["store"]["ok"] else f"; nothing can be stored: {status['store']['why']}")
    )
    if durable["forked"]:
        names = ", ".join(author[:10] for author in durable["forked"])
        lines.append(f"two different words in one place: {names}. More than one hub has signed with these keys")
    refused = ", ".join(f"{reason} {count}" for reason, count in status["counters"]["dropped"].items())
    lines.append(f"refused: {refused or 'nothing'}")
    lines += [f"note: {notice}" for notice in status["notices"]]
    return "\n".join(lines)


def _torn(status: dict[str, Any]) -> list[str]:
    """A line while the crowd is two, and one while that, or anything else, is rehearsed here."""
    return [line for line in (now_text(status["glitch"]), inject.now_text(status.get("rehearsal"))) if line is not None]


def _lost_text(exile: dict[str, Any] | None) -> str:
    if exile is None:
        return "lost"
    return f"{exile['why']}, {exile['lost_s']:.0f} s ago"


def peers_text(status: dict[str, Any]) -> str:
    """Links and lost peers for a terminal."""
    lines = _torn(status) + [
        f"{link['peer'][:10]}  {link['state']:<8} up {link['up_s']:8.1f} s  silent {link['silent_ms'] / 1000:4.1f} s  "
        f"round trip {'unknown' if link['rtt_ms'] is None else format(link['rtt_ms'], '.1f') + ' ms':<10}  "
        f"{'dialled by us' if link['dialled_by_us'] else 'dialled by it'}  {link['agent']}"
        for link in status["links"]
    ]
    views = status["overlay"]
    why = {line["peer"]: line for line in views["exiles"]}
    lines += [f"{exile[:10]}  {_lost_text(why.get(exile))}; being dialled" for exile in status["exiles"]]
    lines += [
        f"{line['peer'][:10]}  {line['state']}{', ' + line['why'] if 'why' in line else ''}, {line['since_s']:.0f} s"
        for line in status["opinions"]
        if line["state"] != "alive"
    ]
    if not views["small"]:
        lines += [f"{line['peer'][:10]}  neighbor: {line['why']}" for line in views["neighbors"]]
    known = f"{len(views['passive'])} in the passive view"
    size = "a small mesh: everybody is to be linked" if views["small"] else known
    lines.append(f"{len(status['links'])} links, {status['known_peers']} peers known, {size}")
    mdns = status["mdns"]
    if mdns is not None:
        visible = "visible" if mdns["announced"] else f"not visible ({mdns['fault']})"
        lines.append(
            f"multicast DNS: {visible}, {mdns['candidates']} candidates, {mdns['foreign']} of other meshes ignored"
        )
    return "\n".join(lines)


def identity_lines(state_dir: Path) -> list[dict[str, Any]]:
    """The identities in a state directory, read without its lock (a running hub holds it).

    Raises:
        StoreError: the key file is damaged or exposed.
    """
    from meshnode.keystore import read_meshes
    from protocol.identity import decode_key_state

    if not os.path.exists(state_dir / "keys.json"):
        return []
    out = []
    for stored in read_meshes(state_dir):
        state = decode_key_state(stored.key_states[-1], stored.mesh_id)
        out.append(
            {
                "author": state.author.hex(),
                "mesh": stored.name,
                "mesh_id": stored.mesh_id.hex(),
                "admission": stored.admission,
                "rotation": state.rotation,
            }
        )
    return out
