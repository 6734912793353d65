"""What a hub does with durable events: trees, chains and payloads (docs/protocol.md, sections 10 and 12).

It signs none of its own; one shared tree serves everybody, as section 10 allows.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.reference.chains import Chains, Kept, conflict
from tests.conformance.reference.codec import Refused, Value, encode
from tests.conformance.reference.crypto import blake, verify
from tests.conformance.reference.events import decode_event, payload_hash
from tests.conformance.reference.hub_outflow import Outflow
from tests.conformance.reference.hub_state import Link
from tests.conformance.reference.keystates import Identity, key_at
from tests.conformance.reference.lasting import (
    NAME_BYTES,
    ChainMessage,
    Chunk,
    EventMessage,
    Fork,
    Gossip,
    Heads,
    IHave,
    Offer,
    TreeGraft,
    TreeMessage,
    TreePrune,
    WantEvents,
    WantPayload,
)
from tests.conformance.reference.meshes import Mesh
from tests.conformance.reference.messages import WantKeys, decode_gossip
from tests.conformance.reference.mutations import NONE, Mutation, Mutations
from tests.conformance.reference.parts import leaf, path, pieces, proves

PROTOCOL, SIGNATURE = 3, 4
GOSSIP_BYTES_MAX: Final = 4_096
WAITING_MAX: Final = 1_024
GRAFT_SECONDS: Final = 0.3
FORKS_MAX: Final = 256


class Events(Outflow):
    """Keeps what is right, passes it on, gives it to whoever asks."""

    def __init__(
        self, mesh: Mesh, identity: Identity, *, mutations: Mutations = NONE, publishes: bool = False, boot: int = 1
    ) -> None:
        super().__init__(mesh, identity, mutations=mutations, publishes=publishes, boot=boot)
        self.chains = Chains(mutations)
        self.forks: dict[bytes, Fork] = {}
        self.waiting: dict[bytes, tuple[Kept, int]] = {}
        """Events that wait for keys or for a parent, and the link by which each came."""
        self.announced: dict[bytes, tuple[int, float]] = {}
        """Names that are not held, who announced each, and when it is asked for."""
        self.parts: dict[bytes, dict[int, Chunk]] = {}
        """What has come of payloads that are not whole."""
        self.patient: list[tuple[int, WantPayload]] = []
        """Links that wait for what is not here yet, and for what."""

    # --- trees --------------------------------------------------------------------------------------------------

    def on_tree(self, link: Link, message: TreeMessage, now: float) -> None:
        """One message of section 10."""
        match message:
            case Gossip():
                self._on_gossip(link, message)
            case IHave(entries):
                for at in range(0, len(entries), NAME_BYTES + 1):
                    name = entries[at : at + NAME_BYTES]
                    if self._named(name) is None and Mutation.NO_TREE_GRAFT not in self.mutations:
                        self.announced.setdefault(name, (link.number, now + GRAFT_SECONDS))
            case TreeGraft(_, names):
                link.lazy_tree = False
                for at in range(0, len(names), NAME_BYTES):
                    kept = self._named(names[at : at + NAME_BYTES])
                    if kept is not None and Mutation.TREE_GRAFT_UNANSWERED not in self.mutations:
                        self._push(link, kept)
            case TreePrune():
                link.lazy_tree = True

    def graft_due(self, now: float) -> None:
        """Ask for what was announced and has not come."""
        for name, (number, due) in list(self.announced.items()):
            link = self.links.get(number)
            if now >= due or link is None or self._named(name) is not None:
                del self.announced[name]
                if link is not None and link.open and self._named(name) is None:
                    link.outbox.append(TreeGraft(None, name))

    def _named(self, name: bytes) -> Kept | None:
        return next((kept for kept in self.chains.kept.values() if kept.name[-NAME_BYTES:] == name), None)

    def _on_gossip(self, link: Link, message: Gossip) -> None:
        kept = self.chains.kept.get(message.id)
        if kept is not None and kept.offered:
            kept.offered = False
            self._spread(link, kept)
            return
        if kept is not None:
            if kept.source != link.number and Mutation.NO_TREE_PRUNE not in self.mutations:
                link.lazy_tree = True
                link.outbox.append(TreePrune(message.author if message.tree else None))
            return
        try:
            kept = self._read(decode_gossip(message.payload))
            right = (kept.name, kept.event.author) == (message.id, message.author)
            if not right and Mutation.ANY_GOSSIP not in self.mutations:
                raise Refused("a message that is not what it says")
        except Refused:
            link.bye = PROTOCOL
            return
        self._take(link, kept)

    def _push(self, link: Link, kept: Kept) -> None:
        self._keys_first(link, kept)
        whole: list[Value] = [kept.signed, kept.signature, *(kept.payload or (None, None))]
        payload = encode(whole)
        if len(payload) > GOSSIP_BYTES_MAX:
            payload = encode([kept.signed, kept.signature, None, None])
        link.outbox.append(Gossip(kept.name, kept.event.author, 1, 0, payload))

    def _keys_first(self, link: Link, kept: Kept) -> None:
        author = kept.event.author
        needed = link.carried.get(author, -1) < kept.event.rotation
        if needed and Mutation.NO_KEYS_FIRST not in self.mutations:
            self.send_keys(link, self.keys[author])

    # --- events -------------------------------------------------------------------------------------------------

    def on_chain(self, link: Link, message: ChainMessage) -> None:
        """One message of section 12."""
        match message:
            case EventMessage():
                try:
                    kept = self._read(message)
                except Refused:
                    link.bye = PROTOCOL
                    return
                self._take(link, kept)
            case WantEvents():
                if Mutation.NO_HEADS not in self.mutations:
                    self._give(link, message)
            case WantPayload():
                self._give_payload(link, message)
            case Fork():
                self._on_fork(link, message)
            case Offer(signed, signature):
                self._on_offer(link, EventMessage(signed, signature, None, None))
            case Chunk():
                self._on_chunk(link, message)
            case Heads():
                return

    def _read(self, message: EventMessage) -> Kept:
        event = decode_event(message.signed, self.mesh.mesh_id)
        payload = None
        if message.salt is not None and message.content is not None:
            payload = message.salt, message.content
            named = event.payload_hash, event.payload_size
            right = named == (payload_hash(*payload), len(message.content))
            if not right and Mutation.ANY_PAYLOAD not in self.mutations:
                raise Refused("not the payload that the event names")
        return Kept(blake(message.signed), event, message.signed, message.signature, payload)

    def _take(self, link: Link, kept: Kept) -> None:
        """R80 to R82."""
        held = self.chains.kept.get(kept.name)
        if held is not None:
            if kept.payload is not None and held.payload is None:
                self.chains.fill(kept.name, kept.payload)
            return
        author = kept.event.author
        state = self.keys.get(author)
        if state is None or state.rotation < kept.event.rotation:
            self._wait(link, kept)
            if Mutation.EVENT_KEYS_NOT_WANTED not in self.mutations:
                link.outbox.append(WantKeys((author,)))
            return
        good = verify(key_at(state, kept.event.rotation), kept.signed, kept.signature)
        if not good and Mutation.FORGED_EVENTS not in self.mutations:
            link.bye = SIGNATURE
            return
        kept.source = link.number
        self._settle(link, kept)

    def _wait(self, link: Link, kept: Kept) -> None:
        if len(self.waiting) < WAITING_MAX:
            self.waiting[kept.name] = kept, link.number

    def _settle(self, link: Link, kept: Kept) -> None:
        if self.chains.lacks_parent(kept):
            self._wait(link, kept)
            if Mutation.PARENTS_NOT_WANTED not in self.mutations:
                link.outbox.append(WantEvents((self.chains.heads(kept.event.author),)))
            return
        rival = self.chains.rival(kept)
        if rival is not None:
            self._prove(Fork((rival.signed, rival.signature), (kept.signed, kept.signature)), kept.event.author, None)
        if self.chains.take(kept):
            if not kept.offered:
                self._spread(link, kept)
            if kept.payload is None and kept.event.payload_hash is not None and not kept.event.audience:
                self.parts[kept.name] = {}
                link.outbox.append(WantPayload(kept.name, 0, min(16, _count(kept))))
            self._answer_patient(kept.name)
            self.look_again(kept.event.author)

    def look_again(self, author: bytes) -> None:
        """Keys or a parent of this author's have come."""
        for name, (kept, number) in list(self.waiting.items()):
            ready = kept.event.author == author and not self.chains.lacks_parent(kept)
            state = self.keys.get(author)
            link = self.links.get(number)
            if link is None or name in self.chains.kept:
                self.waiting.pop(name, None)
            elif ready and state is not None and state.rotation >= kept.event.rotation:
                self.waiting.pop(name, None)
                self._take(link, kept)

    def _spread(self, link: Link, kept: Kept) -> None:
        if Mutation.EVENTS_STAY in self.mutations:
            return
        for other in self.links.values():
            if other is link or not other.open:
                continue
            if other.lazy_tree:
                other.outbox.append(IHave(kept.name[-NAME_BYTES:] + b"\x02"))
            else:
                self._push(other, kept)

    # --- what is asked for --------------------------------------------------------------------------------------

    def _give(self, link: Link, message: WantEvents) -> None:
        """R89."""
        link.outbox.append(Heads(tuple(self.chains.heads(author) for author, _ in message.authors)))
        for author, heads in message.authors:
            if author in self.forks:
                link.outbox.append(self.forks[author])
            for kept in self.chains.after(author, tuple(head for _, head in heads)):
                self._keys_first(link, kept)
                link.outbox.append(EventMessage(kept.signed, kept.signature, *(kept.payload or (None, None))))

    def _give_payload(self, link: Link, message: WantPayload) -> None:
        if Mutation.NO_CHUNKS in self.mutations:
            return
        kept = self.chains.kept.get(message.event)
        chunks = self._chunks(kept)
        asked = [chunks[at] for at in range(message.first, message.first + message.count) if at in chunks]
        coming = kept is None or message.event in self.parts
        if coming and not asked and message.patient and Mutation.IMPATIENT not in self.mutations:
            self.patient.append((link.number, message))
        elif message.count:
            link.outbox += asked or [Chunk(message.event, message.first, bytes(16), None)]

    def _chunks(self, kept: Kept | None) -> dict[int, Chunk]:
        """R113: what is here of a payload."""
        if kept is None or kept.event.audience:
            return {}
        if kept.payload is None:
            return self.parts.get(kept.name, {})
        salt, content = kept.payload
        found = pieces(content)
        leaves = [leaf(salt, piece) for piece in found]
        proofs = [b"" if Mutation.NO_PROOFS in self.mutations else path(leaves, at) for at in range(len(found))]
        return {at: Chunk(kept.name, at, salt, piece, proofs[at]) for at, piece in enumerate(found)}

    # --- what comes in chunks -----------------------------------------------------------------------------------

    def _on_offer(self, link: Link, message: EventMessage) -> None:
        """R114: an event of the peer's own, that a tree brings as well."""
        try:
            kept = self._read(message)
        except Refused:
            link.bye = PROTOCOL
            return
        if kept.event.author != link.peer.author and Mutation.ANY_OFFER not in self.mutations:
            link.bye = PROTOCOL
            return
        kept.offered = True
        self._take(link, kept)

    def _on_chunk(self, link: Link, chunk: Chunk) -> None:
        """R113."""
        kept, parts = self.chains.kept.get(chunk.event), self.parts.get(chunk.event)
        if kept is None or parts is None or chunk.data is None or kept.event.payload_hash is None:
            return
        hashed, count = leaf(chunk.salt, chunk.data), _count(kept)
        right = chunk.index < count and proves(hashed, chunk.index, count, chunk.proof, kept.event.payload_hash)
        if not right and Mutation.ANY_CHUNK not in self.mutations:
            link.bye = PROTOCOL
            return
        parts[chunk.index] = chunk
        if len(parts) == count:
            del self.parts[chunk.event]
            content = b"".join(parts[at].data or b"" for at in range(count))
            self.chains.fill(chunk.event, (chunk.salt, content))
        elif chunk.index % 16 == 15:
            link.outbox.append(WantPayload(chunk.event, chunk.index + 1, min(16, count - chunk.index - 1)))
        self._answer_patient(chunk.event)

    def _answer_patient(self, name: bytes) -> None:
        """R114: whoever has waited is given what is here now."""
        waiting, self.patient = self.patient, []
        for number, message in waiting:
            link = self.links.get(number)
            if message.event != name:
                self.patient.append((number, message))
            elif link is not None and link.open:
                self._give_payload(link, message)

    # --- forks --------------------------------------------------------------------------------------------------

    def _on_fork(self, link: Link, message: Fork) -> None:
        """R85."""
        try:
            one, other = (self._read(EventMessage(*record, None, None)) for record in (message.one, message.other))
        except Refused:
            link.bye = PROTOCOL
            return
        state = self.keys.get(one.event.author)
        if state is None or state.rotation < max(one.event.rotation, other.event.rotation):
            return
        signed = all(verify(key_at(state, kept.event.rotation), kept.signed, kept.signature) for kept in (one, other))
        if not (signed and conflict(one, other)) and Mutation.ANY_FORK not in self.mutations:
            link.bye = PROTOCOL
            return
        self._prove(message, one.event.author, link)

    def _prove(self, fork: Fork, author: bytes, source: Link | None) -> None:
        if author in self.forks or len(self.forks) >= FORKS_MAX or Mutation.NO_PROOF in self.mutations:
            return
        self.forks[author] = fork
        for other in self.links.values():
            if other is not source and other.open:
                other.outbox.append(fork)


def _count(kept: Kept) -> int:
    return max(1, -(-kept.event.payload_size // 4_096))
