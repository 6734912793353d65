"""What a world does when a hub asks its store for something: it takes a while; the answer comes to the same life."""

from __future__ import annotations

from collections.abc import Callable

from protocol.clock import Duration
from protocol.effects import KeepKeyState, LoadPayload, StoreEvents
from protocol.inputs import Input
from sim.host import Host
from sim.kernel import Kernel


class Stores:
    """``give`` tells one life of a hub something; ``disk_us`` is what a commit and a read take."""

    def __init__(self, kernel: Kernel, disk_us: Duration, give: Callable[[Host, int, Input], None]) -> None:
        self._kernel = kernel
        self._disk_us = disk_us
        self._give = give

    def keep(self, host: Host, effect: KeepKeyState) -> None:
        """Write with the next batch."""
        host.storage.disk.submit(effect)

    def store(self, host: Host, effect: StoreEvents) -> None:
        """Write a batch."""
        host.storage.disk.submit(effect)
        self._kernel.at(self._kernel.now + self._disk_us, self._written, host, host.life)

    def _written(self, host: Host, life: int) -> None:
        if host.life == life and host.alive:
            answer = host.storage.disk.step(self._kernel.now)
            if answer is not None:
                self._give(host, life, answer)

    def load(self, host: Host, effect: LoadPayload) -> None:
        """Read a part of a payload."""
        loaded = host.storage.disk.load(effect)
        self._kernel.at(self._kernel.now + self._disk_us, self._give, host, host.life, loaded)
