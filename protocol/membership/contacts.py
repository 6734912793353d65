"""Whom this hub was told to join the mesh through, until it has met them.

Source: HyParView, section 4.2, has one contact node that is simply there. Deviation, and why: a contact may be down,
slow, or a newcomer itself, and hubs may have been told of each other in a ring, so that having a neighbor does not
mean being in: every contact is dialled until there was a link with it, and again while there is no neighbor at all.
Invariants: at most ``config.contacts``, the one named longest ago gives way; two dials of one contact are 5..30 s
apart, twice as long after each that came to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.clock import Instant
from protocol.ids import AuthorId
from protocol.membership.overlay_values import OverlayConfig
from protocol.rng import Rng


@dataclass(slots=True)  # state: changes in place
class _Contact:
    next_at: Instant
    failures: int = 0
    met: bool = False


class Contacts:
    """The table, in the order in which they were named."""

    def __init__(self, config: OverlayConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self._table: dict[AuthorId, _Contact] = {}

    def __len__(self) -> int:
        return len(self._table)

    def add(self, peer: AuthorId, now: Instant) -> None:
        """Join through ``peer`` as well."""
        self._table.pop(peer, None)
        if len(self._table) >= self._config.contacts:
            del self._table[next(iter(self._table))]
        self._table[peer] = _Contact(now)

    def met(self, peer: AuthorId) -> None:
        """There is a link with ``peer``: from here on it is known like everybody else."""
        contact = self._table.get(peer)
        if contact is not None:
            contact.met = True
            contact.failures = 0

    def hurry(self, now: Instant) -> None:
        """Paths may be back."""
        for contact in self._table.values():
            contact.next_at = min(contact.next_at, now)

    def dialled(self, peer: AuthorId, now: Instant) -> None:
        """Its turn has come."""
        contact = self._table.get(peer)
        if contact is not None:
            config = self._config
            wait = min(config.redial_us_max, config.redial_us_min << min(contact.failures, 3))
            contact.failures += 1
            contact.next_at = now + self._rng.jitter(wait, 20)

    def due(self, now: Instant, *, lonely: bool) -> tuple[list[AuthorId], Instant | None]:
        """Who is to be dialled now, and when the next one is; those that were met only if there is no neighbor."""
        wanted = [(peer, one.next_at) for peer, one in self._table.items() if lonely or not one.met]
        again = min((at for _, at in wanted if at > now), default=None)
        return [peer for peer, at in wanted if at <= now], again
