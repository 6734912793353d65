"""Two hubs in two processes over loopback: one author's records as fast as the other hub keeps up.

Counted is what the receiver *shows*: distinct (boot, seq) of the one author, each signed by the publisher's Node,
sealed, sent over TCP, opened, verified, let through by consent and kept. A record that a newer one overtook before it
left is not shown and so does not count. Charged is the CPU time, user and system, of both processes, whole, during
the same window. The limit is one bare libsodium signature and one bare verification of the same bytes, measured in
turns with the windows, while the hubs pause.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Final

import nacl.bindings as sodium

from benchmarks.hub import Spec
from benchmarks.hubs import BenchmarkError, Hubs, hubs
from benchmarks.measure import US, Outcome, Plan, per_item
from benchmarks.people import Style, person, secret, vector
from protocol import Bar

WINDOW_S: Final = 3.0
WARM_S: Final = 0.5
SHARE: Final = 0.6
REFERENCES: Final = {
    "Zenoh with libsodium signatures": 0.44,
    "signed ZeroMQ": 0.31,
    "js-libp2p": 0.12,
    "iroh": 0.10,
    "py-libp2p": 0.03,
}


def bare_signature_and_check(count: int) -> float:
    """CPU seconds of signing and verifying one record with nothing around it."""
    public, key = sodium.crypto_sign_seed_keypair(secret("bare"))
    messages = [vector(person(0), seq, Style(cadence_ms=100)).signed for seq in range(1, count + 1)]
    sign, check = sodium.crypto_sign, sodium.crypto_sign_open
    signing = per_item(messages, lambda message: sign(message, key))
    signed = [sign(message, key) for message in messages]
    return signing + per_item(signed, lambda message: check(message, public))


def _window(pair: Hubs, seconds: float) -> tuple[int, float, float, float]:
    """Records shown by the receiver, CPU seconds of publisher and of receiver, and real seconds, in one window."""
    pair[0].ask("pour", on=True)
    time.sleep(WARM_S)
    before = pair.mark()
    time.sleep(seconds)
    after = pair.mark()
    pair[0].ask("pour", on=False)
    publisher, receiver = (there.cpu_s - here.cpu_s for here, there in zip(before, after, strict=True))
    return after[1].shown - before[1].shown, publisher, receiver, (after[1].at - before[1].at) / US


def measure(plan: Plan) -> Outcome:
    """Pour records from one hub into another, in turns with bare signatures."""
    spec = Spec("", "", max_links=4, mdns=False, pour=True)
    shares: list[float] = []
    windows: list[tuple[int, float, float, float]] = []
    bare: list[float] = []
    count = plan.count(2_000)
    speaking = replace(spec, cadence_ms=100, deaf=True)
    with hubs([speaking, spec], plan.profile) as (pair, folder):
        pair.meet(lambda i: [1 - i] if i == 0 else [])
        pair.until(lambda state: state["links"] == 1, "two hubs linked")
        before = bare_signature_and_check(count)
        for _ in range(plan.repeats):
            windows.append(_window(pair, plan.seconds(WINDOW_S)))
            after = bare_signature_and_check(count)
            bare.append((before + after) / 2)  # on both sides of the window: a core's speed wanders
            before = after
            shown, publisher, receiver, _ = windows[-1]
            shares.append(shown / (publisher + receiver) * bare[-1])
        drops = pair.ask("state")[1]["drops"]
        _check_distinct(pair.dumps(folder)[1]["rows"])
    figures = {f"two hubs, {name} (reference)": share for name, share in REFERENCES.items()}
    return Outcome(
        [
            Bar(
                "two hubs, records per CPU second against 1/(sign + verify)",
                median(shares),
                SHARE,
                "of the limit",
                reference=REFERENCES["Zenoh with libsodium signatures"],
                at_most=False,
            )
        ],
        {
            "two hubs, records per CPU second": round(median(n / (p + r) for n, p, r, _ in windows)),
            "two hubs, records per second": round(median(n / s for n, _, _, s in windows)),
            "two hubs, publisher CPU us a record": round(median(p / n * US for n, p, _, _ in windows), 1),
            "two hubs, receiver CPU us a record": round(median(r / n * US for n, _, r, _ in windows), 1),
            "two hubs, bare sign + verify, us": round(median(bare) * US, 1),
            "two hubs, signed bytes of a record": len(vector(person(0), 1, Style(cadence_ms=100)).signed),
            "two hubs, refused by the receiver": sum(drops.values()),
            **figures,
        },
    )


def _check_distinct(rows: list[list[int]]) -> None:
    shown = [(author, boot, seq) for author, boot, seq, _ in rows]
    if len(set(shown)) != len(shown):
        raise BenchmarkError("a record was shown twice")
