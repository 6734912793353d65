"""Whom this hub trusts: carries news between the ledger, the person and trust; part of the Node, in a room of its own.

Words about people are durable events, sealed to their subject, their issuer and its circle (docs/protocol.md, section
12.4). Each is read back from the store when it is there, ours and others' alike, one at a time: trust knows what the
disk knows. Which of them are for others is remembered, so a start reads few again.
What feeds trust from here is in docs/trust.md and nothing else is: no vector, no link, no clock comes through this
room. Invariants: nothing here decides what is stored, relayed or delivered; no word counts that could not be read
again after a restart; what is on no chain is on the disk within a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final, assert_never

from protocol.clock import MS, Instant, hlc_utc_ms
from protocol.crypto import DhKey, digest
from protocol.durable import Durable
from protocol.effects import (
    Drop,
    Effect,
    Emit,
    EventAccepted,
    ForkProven,
    KeepKeyState,
    LedgerNews,
    LoadPayload,
    MeetingEnded,
    PayloadErased,
    PayloadKept,
    StandingChanged,
    StoreTrust,
    WriteRefused,
)
from protocol.errors import ConfigError, DecodeError, Reason, RemoteProtocolError
from protocol.glitch.values import Pardon
from protocol.gossip.keys import KeyBook
from protocol.identity import LocalIdentity
from protocol.ids import AuthorId, EventId, LinkId, MeshId
from protocol.inputs import (
    Attest,
    ConfirmMeeting,
    MeetPeer,
    PayloadLoaded,
    Regard,
    ShowCard,
    Started,
    TrustInput,
    WriteEvent,
)
from protocol.limits import COUNTER_MAX, SALT_BYTES
from protocol.port import Outbox
from protocol.rng import Rng
from protocol.sealing import SEALED_BYTES_MAX, open_word, seal_word
from protocol.trust import values as trust_say
from protocol.trust.attestations import decode_attestation, encode_attestation
from protocol.trust.meeting import MeetingEffect, Meetings, Tell, card_nonce
from protocol.trust.memory import NAME_BYTES, decode_state, encode_state
from protocol.trust.trust import Trust
from protocol.trust.values import STRENGTH_MAX, TrustConfig, TrustState
from protocol.wire.events import SEALED, EventRecord
from protocol.wire.meeting import MeetingMessage

ABOUT: Final = b"\x01"
"""The first byte of a sealed word that is an attestation; others are not known yet, and are left alone."""
FOR_OTHERS_MAX: Final = 16_384
"""Words for others that are remembered, 8 bytes each: as many as 1,000 people say of 16 others. Without a bound whoever
may write could grow a file of ours; what is forgotten is only read again at the next start."""
FOR_OTHERS_SAVED: Final = 256
"""So many new ones are worth a write of their own."""


class Bonds:
    """``trust`` is asked by views and gates. ``todo``: something has happened that :meth:`settle` must look at."""

    def __init__(
        self,
        mesh_id: MeshId,
        identity: LocalIdentity,
        durable: Durable,
        keys: KeyBook,
        outbox: Outbox,
        rng: Rng,
        config: TrustConfig,
    ) -> None:
        self._mesh_id = mesh_id
        self._identity = identity
        self._own = identity.author
        self._durable = durable
        self._keys = keys
        self._outbox = outbox
        self._rng = rng
        self._config = config
        self._keys_own: tuple[DhKey, ...] | None = None
        self._news: list[LedgerNews] = []
        self._unread: dict[EventId, EventRecord] = {}
        self._recalling: dict[EventId, None] = {}
        self._reading: EventRecord | None = None
        self._offset_ms: int | None = None
        self._floor_ms = 0
        self._undated = False
        self._dirty = False
        self._pardons: dict[tuple[AuthorId, Instant], Instant] = {}
        self._asked: tuple[int, bytes] | None = None
        self._for_others: dict[bytes, None] = {}
        self._unsaved = 0
        self.todo = False
        self.meetings = Meetings(self._own)
        self.trust = Trust(self._own, config, rng.child("walks"))
        durable.listeners.append(self._heard)

    # --- the beginning ----------------------------------------------------------------------------------------------

    def start(self, started: Started, now: Instant) -> list[Effect]:
        """The first call of a run, after the ledger has started."""
        effects: list[Effect] = []
        try:
            state = decode_state(started.trust)
        except RemoteProtocolError as fault:
            state = TrustState()
            effects.append(Drop(None, fault.reason, "stored trust"))
        if state.rotation == self._identity.key_state.rotation:
            self._for_others = dict.fromkeys(state.for_others)
        self._begin(state, now)
        heads = [head.author for head in self._durable.ledger.frontier()]
        for author in dict.fromkeys(one for one, other in pairwise(heads) if one == other):
            if self._durable.ledger.has_forked(author):
                effects += self._told(self.trust.prove(author))
        return effects

    def _begin(self, state: TrustState, now: Instant) -> None:
        self.trust.start(state, (), self.utc_ms(now))
        held = [
            event
            for event, payload in self._durable.ledger.of_kind(SEALED)
            if payload == "here" and event.id[:NAME_BYTES] not in self._for_others
        ]
        self._unread = {event.id: event for event in sorted(held, key=lambda event: event.author != self._own)}
        self.todo = self.todo or bool(self._unread)
        self._recalling = dict.fromkeys(self._unread)

    def dated(self, utc_offset_ms: int | None, now: Instant) -> list[Effect]:
        """The date is known, or not any more. It is taken once in a run and goes on with boot time: a clock that is set
        makes nobody's words older or newer. Words that were weighed without a date are weighed again, and amnesties
        that were given meanwhile have dates now."""
        if utc_offset_ms is None or self._offset_ms is not None:
            return []
        self._offset_ms = utc_offset_ms
        if self._undated:
            self._undated = False
            state, self.trust = self.trust.state(), Trust(self._own, self._config, self._rng.child("walks"))
            self._begin(state, now)
        pardons, self._pardons = self._pardons, {}
        return [
            effect
            for (subject, since), until in pardons.items()
            for effect in self.pardon(Pardon(subject, since, until))
        ]

    @property
    def remembers(self) -> bool:
        """Whether all words that were on the disk at the start have been read back; until then nobody stands as it
        should, and gates know fewer people than they will."""
        return not self._recalling

    def trusts(self, author: AuthorId, now: Instant) -> bool:
        """Whether ``author`` stands above 0 by the words of those whom this hub's person knows."""
        return self.trust.is_known(author, self.utc_ms(now))

    def utc_ms(self, now: Instant) -> int:
        """The best date there is: without one, that of the newest word of our own. A clock that is far off says the
        first or last date that can be written."""
        return self._floor_ms if self._offset_ms is None else min(max(0, now // MS + self._offset_ms), COUNTER_MAX)

    # --- what the ledger says ---------------------------------------------------------------------------------------

    def _heard(self, news: LedgerNews) -> None:
        match news:
            case EventAccepted(event) if event.author == self._own or self.trust.is_proven(event.author):
                pass
            case PayloadKept(event) | PayloadErased(event) if event.kind == SEALED:
                pass
            case ForkProven():
                pass
            case _:
                return
        self._news.append(news)
        self.todo = True

    def settle(self, effects: list[Effect]) -> None:
        """Look at what was heard, and ask for the next word that is to be read."""
        self.todo = False
        told, self._news = self._news, []
        for news in told:
            match news:
                case EventAccepted(event):
                    if event.author == self._own and event.kind == SEALED:
                        self._unread[event.id] = event
                    elif self.trust.is_proven(event.author) and self._durable.ledger.has_merged(event.author):
                        effects += self._told(self.trust.settle(event.author))
                case PayloadKept(event):
                    self._unread[event.id] = event
                case PayloadErased(event):
                    self._unread.pop(event.id, None)
                    self._recalling.pop(event.id, None)
                    effects += self._told(self.trust.forget(event.author, (event.incarnation, event.seq)))
                case ForkProven(author):
                    effects += self._told(self.trust.prove(author))
                case _:
                    pass
        while self._unread and self._reading is None:
            event = self._unread.pop(next(iter(self._unread)))
            if event.payload_size <= SEALED_BYTES_MAX:
                self._reading = event
                effects.append(LoadPayload(self._own, event.id, 0, 1))
            else:
                self._recalling.pop(event.id, None)

    def loaded(self, loaded: PayloadLoaded, now: Instant) -> list[Effect]:
        """The store has read what :meth:`settle` has asked for."""
        event = self._reading
        if event is None or event.id != loaded.event:
            return []
        self._reading = None
        self._recalling.pop(event.id, None)
        self.todo = bool(self._unread)
        if loaded.salt is None or not loaded.chunks:
            return []  # erased meanwhile
        try:
            return self._read(event, loaded.chunks[0], now)
        except DecodeError as fault:
            return [Drop(None, fault.reason, "sealed word")]

    def _read(self, event: EventRecord, content: bytes, now: Instant) -> list[Effect]:
        if self._keys_own is None:
            self._keys_own = tuple(make() for make in self._identity.openers)
        if not self._keys_own:
            return []
        word = open_word(self._mesh_id, event.author, content, self._keys_own)
        if word is None:
            self._note_for_others(event.id)
            return []
        if not word.startswith(ABOUT):
            return []
        said = decode_attestation(event, word[1:])
        if event.author == self._own:
            self._floor_ms = max(self._floor_ms, hlc_utc_ms(event.hlc))
        self._undated = self._undated or self._offset_ms is None
        return self._told(self.trust.learn(said, self.utc_ms(now)))

    def _note_for_others(self, event: EventId) -> None:
        self._for_others[event[:NAME_BYTES]] = None
        if len(self._for_others) > FOR_OTHERS_MAX:
            del self._for_others[next(iter(self._for_others))]
        self._unsaved += 1
        self._dirty = self._dirty or self._unsaved >= FOR_OTHERS_SAVED

    # --- what the person says ---------------------------------------------------------------------------------------

    def handle(self, input: TrustInput, now: Instant) -> list[Effect]:
        """A command."""
        match input:
            case Attest():
                return self._attest(input, now)
            case MeetPeer(request, peer, seed, card):
                number = digest(b"nonce", key=seed) if card is None else card_nonce(card, self._own, peer)
                effects = self._perform(self.meetings.begin(peer, number, now), now)
                self._asked = request, seed
                return effects + self.link_down(peer, now)
            case ShowCard(request, secret, seed):
                effects = self._perform(self.meetings.show(secret, digest(b"nonce", key=seed), now), now)
                self._asked = request, seed
                return effects
            case ConfirmMeeting(peer, same):
                return self._perform(self.meetings.confirm(peer, same=same), now)
            case Regard(subject, "block", on):
                return self._told(self.trust.block(subject, on=on))
            case Regard(subject, "circle", on):
                return self._told(self.trust.share(subject, on=on))
            case Regard(subject, _, on):
                return self._told(self.trust.mute(subject, on=on))
            case _:
                assert_never(input)

    def _attest(self, asked: Attest, now: Instant) -> list[Effect]:
        """Write it down, sealed to its subject, to us and to our circle."""
        state = self._keys.get(asked.subject)
        if asked.subject == self._own or state is None:
            detail = "this is you" if state is not None else "nothing is known of that hub here: it has to be met first"
            return [Emit(WriteRefused(asked.request, Reason.UNKNOWN_AUTHOR, detail))]
        try:
            word = ABOUT + encode_attestation(asked.subject, asked.strength)
        except ConfigError as fault:
            return [Emit(WriteRefused(asked.request, Reason.BAD_CONTENT, str(fault)))]
        readers = (self._identity.key_state.key, state.key, *self._circle().values())
        content = seal_word(self._mesh_id, self._own, word, readers, digest(b"seal", key=asked.seed))
        salt = digest(b"salt", key=asked.seed, size=SALT_BYTES)
        kept = self._keys.keep(asked.subject)  # or whoever falls silent could not be spoken of, nor taken back
        effects: list[Effect] = [] if kept is None else [KeepKeyState(kept.author, kept.encoded)]
        return effects + self._durable.handle(WriteEvent(asked.request, SEALED, salt, content), now)

    def _circle(self) -> dict[AuthorId, bytes]:
        """Whom our person lets read what it says of others, as far as their keys are known here."""
        known = ((author, self._keys.get(author)) for author, reads in self.trust.circle().items() if reads)
        return {author: state.key for author, state in known if state is not None}

    def circle(self) -> dict[AuthorId, bool]:
        """The circle, and who of it would read a word that is said now."""
        readers = self._circle()
        return {author: author in readers for author in self.trust.circle()}

    # --- meetings ---------------------------------------------------------------------------------------------------

    def receive(self, peer: AuthorId, message: MeetingMessage, now: Instant) -> list[Effect]:
        """A message of somebody who stands here.

        Raises:
            RemoteProtocolError: the peer is at fault.
        """
        return self._perform(self.meetings.receive(peer, message, now), now)

    def link_down(self, peer: AuthorId, now: Instant) -> list[Effect]:
        """A link with ``peer`` is gone."""
        return [] if self._link(peer) is not None else self._perform(self.meetings.link_down(peer), now)

    def _link(self, peer: AuthorId) -> LinkId | None:
        return next((link for link, port in self._outbox.ports.items() if port.open and port.peer == peer), None)

    def _perform(self, told: Iterable[MeetingEffect], now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for one in told:
            if isinstance(one, Tell):
                link = self._link(one.peer)
                if link is not None:
                    self._outbox.ports[link].control[type(one.message).__name__] = one.message
                    self._outbox.flush(link, now, effects)
                continue
            effects.append(Emit(one))
            if isinstance(one, MeetingEnded) and self._asked is not None:
                (request, seed), self._asked = self._asked, None
                if one.met:
                    effects += self._attest(Attest(request, one.peer, STRENGTH_MAX, digest(b"attest", key=seed)), now)
        return effects

    # --- what others of the Node bring ------------------------------------------------------------------------------

    def session_shared(self, subject: AuthorId, now: Instant) -> list[Effect]:
        """An echo session in which ``subject`` and this hub took part has ended."""
        if any(one == subject and since <= now <= until for (one, since), until in self._pardons.items()):
            return []  # trust cannot know it: without a date an amnesty has none either
        return self._told(self.trust.session_shared(subject, self.utc_ms(now)))

    def pardon(self, pardon: Pardon) -> list[Effect]:
        """A glitch: nothing said of its subject within this time counts, for or against. Without a date nobody can tell
        what was said within it: that waits for one, in this run."""
        if self._offset_ms is None:
            self._pardons[pardon.subject, pardon.since_us] = pardon.until_us
            if len(self._pardons) > self._config.subjects_max:
                del self._pardons[next(iter(self._pardons))]
            return []
        since_ms, until_ms = self.utc_ms(pardon.since_us), self.utc_ms(pardon.until_us)
        return self._told(self.trust.pardon(pardon.subject, since_ms, until_ms))

    def tick(self, now: Instant) -> list[Effect]:
        """Once a second."""
        effects = [] if self.meetings.idle else self._perform(self.meetings.tick(now), now)
        if self._dirty:
            self._dirty, self._unsaved = False, 0
            effects.append(StoreTrust(encode_state(self._state())))
        return effects

    def _state(self) -> TrustState:
        for_others = tuple(self._for_others)
        return replace(self.trust.state(), rotation=self._identity.key_state.rotation, for_others=for_others)

    def shares(self, authors: Iterable[AuthorId], now: Instant) -> Mapping[AuthorId, float]:
        """Of bandwidth for live values, where there is too little; empty: all alike."""
        return self.trust.bandwidth(authors, self.utc_ms(now)) if self.trust.contacts() else {}

    def _told(self, told: Iterable[trust_say.TrustEffect]) -> list[Effect]:
        effects: list[Effect] = []
        for one in told:
            match one:
                case trust_say.StandingChanged(subject):
                    effects.append(Emit(StandingChanged(subject)))
                case trust_say.KeepTrust():
                    self._dirty = True
                case trust_say.Refused(_, reason):
                    effects.append(Drop(None, reason, "attestation"))
                case _:
                    assert_never(one)
        return effects
