"""What a hub sends by itself: beats, vectors at their spacing, digests, and its own vectors (sections 6 and 7.2)."""

from __future__ import annotations

from typing import Final

from tests.conformance.reference.codec import encode
from tests.conformance.reference.hub_state import Held, Link
from tests.conformance.reference.keystates import Identity, KeyState, decode_key_state
from tests.conformance.reference.meshes import Mesh
from tests.conformance.reference.messages import Beat, Digest, Keys, VectorMessage
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.records import MAY_RELAY, Addresses, Number, Vector
from tests.conformance.reference.weather import utc_ms

SPACING_SECONDS: Final = 0.05
BEAT_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 2.5
DIGEST_SECONDS: Final = 1.0
CADENCE_SECONDS: Final = 1.0


class Outflow:
    """The state of one hub, and what leaves it."""

    def __init__(
        self, mesh: Mesh, identity: Identity, *, mutations: Mutations = NONE, publishes: bool = False, boot: int = 1
    ) -> None:
        self.mesh = mesh
        self.identity = identity
        self.mutations = mutations
        self.boot = boot
        self.publishes = publishes
        self.published_at = 0.0
        self.seq = 0
        self.listens: tuple[tuple[str, int], ...] = ()
        self.links: dict[int, Link] = {}
        self.keys: dict[bytes, KeyState] = {identity.author: decode_key_state(identity.key_state, mesh.mesh_id)}
        self.held: dict[bytes, Held] = {}
        self.names: dict[bytes, bytes] = {}
        """H(signed) of each held vector to its author."""
        self.poisoned: dict[bytes, Number] = {}
        self.dials: list[tuple[str, int, bytes]] = []
        self.records: dict[bytes, tuple[bytes, bytes, bytes]] = {}
        """Checked addresses records of others, newest last."""

    def addresses_record(self) -> tuple[bytes, bytes] | None:
        """Where this hub listens, signed."""
        if not self.listens:
            return None
        record = Addresses(self.identity.author, self.identity.rotation, self.boot, 1, self.listens)
        signed = record.signed(self.mesh.mesh_id)
        return signed, self.identity.sign(signed)

    def held_by_tag(self, tag: bytes) -> Held | None:
        """The newest vector of the author with this tag."""
        return next((held for author, held in self.held.items() if author[:8] == tag), None)

    def publish(self, now: float) -> None:
        """Our own vector, at a fixed cadence."""
        if not self.publishes or now - self.published_at < CADENCE_SECONDS:
            return
        self.published_at = now
        self.seq += 1
        own = self.identity
        vector = Vector(own.author, own.rotation, self.boot, self.seq, hlc=utc_ms() << 16)
        signed = vector.signed(self.mesh.mesh_id)
        self.held[own.author] = Held(vector, signed, own.sign(signed), 0, now, None)
        for link in self.links.values():
            link.waiting[own.author] = None

    def send_keys(self, link: Link, state: KeyState) -> None:
        """A key state, and the note that this link has carried it."""
        link.outbox.append(Keys(state.encoded))
        link.carried[state.author] = max(state.rotation, link.carried.get(state.author, 0))

    def push_all(self, now: float) -> None:
        """What may leave now, on every link."""
        for link in self.links.values():
            if link.open and link.waiting:
                self.push(link, now)

    def push(self, link: Link, now: float) -> None:
        """The newest vectors that wait for this link and may leave now (R43)."""
        for author in list(link.waiting):
            left = link.left_at.get(author)
            spaced = left is None or now - left >= SPACING_SECONDS or Mutation.NO_SPACING in self.mutations
            if not spaced:
                continue
            del link.waiting[author]
            held = self.held.get(author)
            if held is not None and self._may_push(link, held, now):
                link.left_at[author] = now
                self._send_vector(link, held, now)

    def _may_push(self, link: Link, held: Held, now: float) -> bool:
        if held.vector.author[:8] in link.lazy and Mutation.IGNORES_PRUNE not in self.mutations:
            return False
        if not held.live(now) and Mutation.SENDS_EXPIRED not in self.mutations:
            return False
        own = held.vector.author == self.identity.author
        return own or bool(held.vector.terms & MAY_RELAY) or Mutation.IGNORES_MAY_RELAY in self.mutations

    def _send_vector(self, link: Link, held: Held, now: float) -> None:
        author = held.vector.author
        if link.carried.get(author, -1) < held.vector.rotation and Mutation.NO_KEYS_FIRST not in self.mutations:
            self.send_keys(link, self.keys[author])
        signed = held.signed
        if Mutation.ALTERED_RECORDS in self.mutations and author != self.identity.author:
            items = held.vector.items(self.mesh.mesh_id)
            items[9] = held.vector.terms ^ 2
            signed = encode(items)
        age = held.age_ms if Mutation.AGE_STANDS_STILL in self.mutations else held.age_at(now)
        link.outbox.append(VectorMessage(signed, held.signature, min(age, 120_000)))

    def digest(self, link: Link, now: float) -> None:
        """What this link's lazy authors have reached (R46)."""
        if now - link.digest_at < DIGEST_SECONDS or Mutation.NO_DIGEST in self.mutations:
            return
        entries: list[tuple[bytes, int, int, int]] = []
        for tag in link.lazy:
            held = self.held_by_tag(tag)
            if held is None or not held.live(now) or not held.vector.terms & MAY_RELAY:
                continue
            told = link.digested.get(tag)
            stale = told is None or now - told[1] >= held.vector.lease_ms / 3_000
            if Mutation.DIGESTS_ONCE in self.mutations:
                stale = told is None
            if told is None or told[0] != held.vector.number or stale:
                link.digested[tag] = (held.vector.number, now)
                entries.append((tag, *held.vector.number))
        if entries:
            link.digest_at = now
            link.outbox.append(Digest(tuple(entries[:256])))

    def beat(self, link: Link, now: float) -> None:
        """Something each second, and an end to links that say nothing (R30)."""
        if now - link.heard_at > SILENCE_SECONDS:
            link.bye = 5
        elif not link.outbox and now - link.said_at >= BEAT_SECONDS and Mutation.NO_BEAT not in self.mutations:
            link.outbox.append(Beat())
