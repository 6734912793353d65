"""This hub's own vector: its grant, its cadence, its signature. Part of the Node, in a room of its own."""

from __future__ import annotations

from protocol.clock import MS, Instant, hlc_pack, hlc_utc_ms
from protocol.consent.policy import check_grant, terms_of
from protocol.effects import CancelTimer, Drop, Effect, SetTimer
from protocol.errors import Reason
from protocol.gossip.outflow import Gate
from protocol.gossip.publisher import Publisher
from protocol.gossip.shelf import Held
from protocol.identity import LocalIdentity
from protocol.ids import MeshId
from protocol.inputs import CommonsGrant, Reading, TimerKey
from protocol.rng import Rng
from protocol.wire.records import COMMONS, VectorRecord, encode_vector

PUBLISH: TimerKey = ("publish",)
STEP_MS_MAX = 10_000


class Voice:
    """Speaks at the grant's cadence and only under a grant. ``seq`` counts what was said in this run."""

    def __init__(self, mesh_id: MeshId, identity: LocalIdentity, rng: Rng, gate: Gate) -> None:
        self._mesh_id = mesh_id
        self._identity = identity
        self._rng = rng
        self._gate = gate
        self._publisher = Publisher()
        self._next_at: Instant = 0
        self._hlc = 0
        self.grant: CommonsGrant | None = None
        self.seq = 0

    def add(self, reading: Reading) -> Reason | None:
        """Take a reading; says why if it is refused."""
        return self._publisher.add(reading)

    def set_grant(self, grant: CommonsGrant | None) -> bool:
        """Replace the grant; True if it differs from the one before.

        Raises:
            ConfigError: the grant cannot be kept; nothing changed.
        """
        checked = None if grant is None else check_grant(grant)
        changed = checked != self.grant
        self.grant = checked
        return changed

    def schedule(self, now: Instant) -> list[Effect]:
        """Begin to speak within a quarter of a cadence, or fall silent."""
        if self.grant is None:
            return [CancelTimer(PUBLISH)]
        self._next_at = now + 1 + self._rng.below(self.grant.cadence_ms * MS // 4)
        return [SetTimer(PUBLISH, self._next_at)]

    def speak(self, boot: int, utc_offset_ms: int | None, now: Instant) -> tuple[Held | None, list[Effect]]:
        """Our next vector, signed, and when the one after it is due."""
        grant = self.grant
        if grant is None:
            return None, []
        cadence = grant.cadence_ms * MS
        self._next_at = max(self._next_at + cadence, now + cadence // 2)
        effects: list[Effect] = [SetTimer(PUBLISH, self._next_at)]
        self.seq += 1
        state = self._identity.key_state
        record = VectorRecord(
            state.author,
            state.rotation,
            boot,
            self.seq,
            self._hlc_now(utc_offset_ms, now),
            COMMONS,
            terms_of(grant),
            grant.lease_ms,
            grant.cadence_ms,
            self._publisher.block(grant, now),
        )
        refused = self._gate("publish", record, grant.lease_ms * MS, own=True)
        if refused is not None:
            return None, [*effects, Drop(None, refused)]
        signed = encode_vector(self._mesh_id, record)
        return Held(record, signed, self._identity.sign(signed), now, None, now), effects

    def _hlc_now(self, utc_offset_ms: int | None, now: Instant) -> int:
        """The date of a vector; 0 if there is none that can be said. A small step back is bridged; a large one means
        that the date was wrong before, and a wrong date must not silence us for good."""
        utc_ms = 0 if utc_offset_ms is None else now // MS + utc_offset_ms
        if not 0 < utc_ms < 1 << 48:
            return 0
        stamp = hlc_pack(utc_ms, 0)
        behind_ms = hlc_utc_ms(self._hlc) - utc_ms
        self._hlc = self._hlc + 1 if 0 <= behind_ms <= STEP_MS_MAX else stamp
        return self._hlc
