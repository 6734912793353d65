"""Signed addresses: our own, and the book of others' that is passed on in PEERS (design decision 10).

Invariants: an entry is kept only with a valid key state and signature; the highest number of an author wins; at
most ``KNOWN_PEERS_MAX`` entries, a random one gives way.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol import limits
from protocol.crypto import Verifier
from protocol.errors import Reason, RemoteProtocolError, SignatureError
from protocol.identity import KeyState, LocalIdentity, decode_key_state
from protocol.ids import AuthorId, MeshId
from protocol.inputs import Address
from protocol.rng import Rng
from protocol.wire.messages import PeerRecord, Peers
from protocol.wire.records import AddressesRecord, decode_addresses, encode_addresses


class AddressBook:
    """Addresses records by author; ``own`` is set once the hub knows where it listens."""

    def __init__(self, mesh_id: MeshId, identity: LocalIdentity, verify: Verifier, rng: Rng) -> None:
        self._mesh_id = mesh_id
        self._identity = identity
        self._verify = verify
        self._rng = rng
        self._records: dict[AuthorId, tuple[tuple[int, int, int], PeerRecord]] = {}
        self._seq = 0
        self.boot_seen = 0  # the highest boot number that somebody has shown us under our own signature
        self.own: tuple[bytes, bytes] | None = None

    def __len__(self) -> int:
        return len(self._records)

    def listen(self, addresses: tuple[Address, ...], boot: int) -> None:
        """Sign where this hub can be reached from now on."""
        self._seq += 1
        state = self._identity.key_state
        record = AddressesRecord(state.author, state.rotation, boot, self._seq, addresses[: limits.ADDRESSES_MAX])
        signed = encode_addresses(self._mesh_id, record)
        self.own = (signed, self._identity.sign(signed))

    def learn(self, state: KeyState, signed: bytes, signature: bytes) -> AddressesRecord | None:
        """Check one record against its author's key state and keep it; None if a newer one is known.

        Raises:
            RemoteProtocolError: the record is malformed, of somebody else, or not signed by the current key.
        """
        record = decode_addresses(self._mesh_id, signed)
        if record.author != state.author or record.rotation != state.rotation:
            raise RemoteProtocolError(Reason.BAD_KEY_STATE, "addresses of another author or rotation")
        if not self._verify(state.key, signed, signature):
            raise SignatureError(Reason.BAD_SIGNATURE, "addresses")
        if record.author == self._identity.author:
            self.boot_seen = max(self.boot_seen, record.boot)
            return record
        known = self._records.get(record.author)
        if known is not None and known[0] > record.number:
            return None
        if known is None or known[0] < record.number:
            if known is None and len(self._records) >= limits.KNOWN_PEERS_MAX:
                del self._records[self._rng.choice(list(self._records))]
            self._records[record.author] = (record.number, PeerRecord(state.encoded, signed, signature))
        return record

    def learn_peer(
        self,
        peer: PeerRecord,
        known: Callable[[AuthorId], KeyState | None],
        same: Callable[[bytes], KeyState | None],
    ) -> AddressesRecord | None:
        """The same for a record out of PEERS; None also if it is under a key that was rotated away.

        Raises:
            RemoteProtocolError: the key state or the record is invalid.
        """
        if any(held == peer for _, held in self._records.values()):
            return None
        state = same(peer.key_state) or decode_key_state(peer.key_state, self._mesh_id)
        current = known(state.author)
        if current is not None and current.rotation > state.rotation:
            return None  # an honest hub may not have heard of the rotation yet
        return self.learn(state, peer.signed, peer.signature)

    def record(self, author: AuthorId) -> PeerRecord | None:
        """What is passed on of one author, oneself included."""
        if author == self._identity.author:
            return None if self.own is None else PeerRecord(self._identity.key_state.encoded, *self.own)
        known = self._records.get(author)
        return None if known is None else known[1]

    def author_of(
        self,
        peer: PeerRecord,
        known: Callable[[AuthorId], KeyState | None],
        same: Callable[[bytes], KeyState | None],
    ) -> tuple[AuthorId | None, AddressesRecord | None]:
        """Whose record this is, after it was checked, and the record if it says something new. Nobody's, if nothing
        newer is known of its author and its key was rotated away.

        Raises:
            RemoteProtocolError: as ``learn_peer``.
        """
        held = next((author for author, (_, other) in self._records.items() if other == peer), None)
        if held is not None:
            return held, None
        record = self.learn_peer(peer, known, same)
        if record is not None:
            return record.author, record
        author = decode_addresses(self._mesh_id, peer.signed).author
        return (author if author in self._records else None), None

    def introduce(self, to: AuthorId, *, itself: bool = False) -> Peers | None:
        """A few others, at random, for a hub that has just come; and what is known of ``itself`` if it forgot that."""
        others = [author for author in self._records if author != to]
        chosen = self._rng.sample(others, limits.PEERS_MAX - itself)
        if itself and to in self._records:
            chosen = [to, *chosen]
        return Peers(tuple(self._records[author][1] for author in chosen)) if chosen else None
