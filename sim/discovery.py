"""Hints as mDNS gives them: late, lossy, only from hubs that can be heard, and never about who somebody is.

Each announcement of a hub reaches each other hub after a delay of its own, or not at all; instance names rotate.
A hub that starts also asks, and whoever hears it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.clock import MINUTE, MS, Duration
from protocol.inputs import Input, PeerSeen
from protocol.rng import Rng
from sim.host import Host
from sim.kernel import Kernel
from sim.paths import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Delays are of one announcement at one hearer (guess, to be measured beside the daemon's own discovery);
    ``again_every_us`` None means that hubs announce themselves at their start only; ``same_order``: all hubs hear of
    the others in one order, as from one cached answer."""

    enabled: bool = True
    delay_us_min: Duration = 20 * MS
    delay_us_max: Duration = 300 * MS
    loss: float = 0.02
    again_every_us: Duration | None = MINUTE
    same_order: bool = False


class Discovery:
    """Tells hubs of hubs."""

    def __init__(
        self, kernel: Kernel, paths: Paths, rng: Rng, hints: Hints, give: Callable[[Host, int, Input], None]
    ) -> None:
        self._kernel = kernel
        self._paths = paths
        self._rng = rng
        self._hints = hints
        self._give = give

    def appeared(self, host: Host, hosts: list[Host]) -> None:
        """``host`` has started: it is heard of, and hears of those who run."""
        if not self._hints.enabled:
            return
        for other in hosts:
            if other is not host and other.alive:
                self._tell(other, host)
                self._tell(host, other)
        if self._hints.again_every_us is not None:
            wait = self._rng.jitter(self._hints.again_every_us, 20)
            self._kernel.at(self._kernel.now + wait, self._again, host, host.life, hosts)

    def introduce(self, hearer: Host, about: Host) -> None:
        """Tell one hub of another now, whatever the paths and hints are: as a person who types an address does."""
        self._give(hearer, hearer.life, PeerSeen(about.name, (about.address,)))

    def _again(self, host: Host, life: int, hosts: list[Host]) -> None:
        if host.life != life or self._hints.again_every_us is None:
            return
        for other in hosts:
            if other is not host and other.alive:
                self._tell(other, host)
        wait = self._rng.jitter(self._hints.again_every_us, 20)
        self._kernel.at(self._kernel.now + wait, self._again, host, life, hosts)

    def _tell(self, hearer: Host, about: Host) -> None:
        hints = self._hints
        if self._rng.chance(hints.loss):
            return
        if hints.same_order:
            delay = hints.delay_us_min + about.index * MS
        else:
            delay = self._rng.between(hints.delay_us_min, hints.delay_us_max)
        seen = PeerSeen(f"{about.name}-{about.life}", (about.address,))
        self._kernel.at(self._kernel.now + delay, self._hear, hearer, hearer.life, about, seen)

    def _hear(self, hearer: Host, life: int, about: Host, seen: PeerSeen) -> None:
        if about.mesh.psk == hearer.mesh.psk and self._paths.passes(about.index, hearer.index):
            self._give(hearer, life, seen)
