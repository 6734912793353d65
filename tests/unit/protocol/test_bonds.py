"""Trust through whole Nodes: words written, sealed, read, kept and taken back; meetings; what it gates and what not."""

from __future__ import annotations

from protocol.clock import MINUTE, MS, SECOND
from protocol.crypto import digest
from protocol.effects import (
    Effect,
    Emit,
    Event,
    EventWritten,
    MeetingCode,
    MeetingEnded,
    StandingChanged,
    StoreEvents,
    StoreTrust,
    WriteRefused,
)
from protocol.errors import Reason
from protocol.glitch.values import Pardon
from protocol.ids import AuthorId, EventId
from protocol.inputs import Attest, ConfirmMeeting, MeetPeer, Regard, Started, Stored, UtcObserved, WriteEvent
from protocol.node import Node
from protocol.rng import Rng
from protocol.trust.memory import encode_state
from protocol.trust.values import TrustState
from protocol.wire.contents import Story, encode_story, encode_withdrawal
from protocol.wire.events import SEALED, STORY, WITHDRAWAL, EventFields, Payload, event_bytes
from protocol.wire.events import Event as EventMessage
from sim.host import Host
from sim.pair import Pair
from tests.unit.protocol.hub import Hub, drops
from tests.unit.protocol.people import ANN, BEN, MESH

SEED = bytes(range(32))
SETTLE = 3 * SECOND


class Two(Pair):
    """A pair that remembers what its hubs said to their people."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed=seed)
        self.news: list[tuple[str, Event]] = []
        self.world.observers.append(self._on_event)
        self.advance(SETTLE)

    def _on_event(self, host: Host, event: Event) -> None:
        self.news.append((host.name, event))

    def author(self, who: str) -> AuthorId:
        return self.host(who).author

    def attest(self, who: str, about: str, strength: int = 100, number: int = 1) -> None:
        seed = digest(SEED, key=bytes([number]))
        self.give(who, Attest(number, self.author(about), strength, seed))
        self.advance(SETTLE)

    def value(self, who: str, about: str) -> float:
        node = self.left if who == "left" else self.right
        return node.standing(self.author(about), self.now)

    def of(self, kind: type[Event]) -> list[tuple[str, Event]]:
        return [(who, event) for who, event in self.news if type(event) is kind]


def news(effects: list[Effect]) -> list[Event]:
    """What a hub said to its person."""
    return [effect.event for effect in effects if isinstance(effect, Emit)]


def test_a_word_reaches_its_subject_and_counts_on_both_sides() -> None:
    two = Two()
    two.attest("left", "right")
    assert two.value("left", "right") > 0.8
    assert 0.2 < two.value("right", "left") < two.value("left", "right")
    assert ("right", StandingChanged(two.author("right"))) in two.news
    assert [who for who, _ in two.of(EventWritten)] == ["left"]


def test_a_word_taken_back_counts_no_more_on_either_side() -> None:
    two = Two()
    two.attest("left", "right")
    two.attest("left", "right", 0, number=2)
    assert two.value("left", "right") == two.value("right", "left") == 0.0


def test_words_are_read_again_after_a_restart() -> None:
    two = Two()
    two.attest("left", "right")
    before = two.value("left", "right"), two.value("right", "left")
    for who in ("left", "right"):
        two.crash(who)
        two.restart(who)
    two.advance(20 * SECOND)
    assert (two.value("left", "right"), two.value("right", "left")) == before


def test_a_withdrawn_word_is_forgotten() -> None:
    two = Two()
    two.attest("left", "right")
    (name,) = [one.event for one in two.left.of_kind(SEALED)]
    two.give("left", WriteEvent(2, WITHDRAWAL, bytes(16), encode_withdrawal((name,))))
    two.advance(SETTLE)
    assert two.value("left", "right") == two.value("right", "left") == 0.0


def test_nobody_can_be_spoken_of_before_it_is_known_nor_oneself() -> None:
    hub = Hub()
    for subject in (BEN.author, hub.node.author):
        assert news(hub.act(Attest(1, subject, 100, SEED)))[0] == WriteRefused(
            1,
            Reason.UNKNOWN_AUTHOR,
            "this is you"
            if subject == hub.node.author
            else "nothing is known of that hub here: it has to be met first",
        )


def test_a_strength_out_of_range_is_refused() -> None:
    hub = Hub()
    hub.join(1, ANN)
    (refused,) = news(hub.act(Attest(1, ANN.author, 101, SEED)))
    assert isinstance(refused, WriteRefused)
    assert refused.reason is Reason.BAD_CONTENT


def test_two_people_who_compare_codes_vouch_for_each_other() -> None:
    two = Two()
    for number, (who, other) in enumerate((("left", "right"), ("right", "left"))):
        two.give(who, MeetPeer(1, two.author(other), digest(SEED, key=bytes([number]))))
        two.advance(SECOND)
    codes = [event.code for _, event in two.news if isinstance(event, MeetingCode)]
    assert len(codes) == 2
    assert codes[0] == codes[1]
    assert two.value("left", "right") == 0.0
    two.give("left", ConfirmMeeting(two.author("right"), True))
    two.advance(SECOND)
    assert two.of(EventWritten) == []
    two.give("right", ConfirmMeeting(two.author("left"), True))
    two.advance(SETTLE)
    assert sorted(who for who, _ in two.of(EventWritten)) == ["left", "right"]
    assert two.value("left", "right") == two.value("right", "left") > 0.8


def test_two_who_do_not_agree_on_the_code_vouch_for_nobody() -> None:
    two = Two()
    for who, other in (("left", "right"), ("right", "left")):
        two.give(who, MeetPeer(1, two.author(other), digest(SEED, key=who.encode())))
        two.advance(SECOND)
    two.give("left", ConfirmMeeting(two.author("right"), False))
    two.advance(SETTLE)
    assert [event.met for _, event in two.news if isinstance(event, MeetingEnded)] == [False, False]
    assert two.of(EventWritten) == []


def test_a_meeting_needs_a_link_and_ends_with_it() -> None:
    hub = Hub()
    (ended,) = news(hub.act(MeetPeer(1, ANN.author, SEED)))
    assert isinstance(ended, MeetingEnded)
    assert not ended.met
    two = Two()
    two.give("left", MeetPeer(1, two.author("right"), SEED))
    two.reset()
    two.advance(SECOND)
    assert any(event.why == "the link is gone" for _, event in two.news if isinstance(event, MeetingEnded))


def test_blocking_and_muting_hide_survive_a_restart_and_stop_no_event() -> None:
    two = Two()
    two.publish("right", 0.3)
    two.give("left", Regard(two.author("right"), "block", True))
    two.advance(SETTLE)
    shown = two.shown("left", "right")
    assert shown is not None
    assert shown.attention == "hidden"
    two.crash("left")
    two.restart("left")
    two.advance(20 * SECOND)
    assert two.left.explain(two.author("right"), two.now).blocked
    two.attest("right", "left", -50)
    assert len(two.left.of_kind(SEALED)) == 1  # stored, whoever said it
    two.give("left", Regard(two.author("right"), "block", False))
    two.give("left", Regard(two.author("right"), "mute", True))
    why = two.left.explain(two.author("right"), two.now)
    assert (why.blocked, why.muted) == (False, True)


def test_what_is_on_no_chain_is_stored_within_a_second() -> None:
    hub = Hub()
    assert not [effect for effect in hub.act(Regard(ANN.author, "mute", True)) if isinstance(effect, StoreTrust)]
    stored = [effect for effect in hub.advance(2 * SECOND) if isinstance(effect, StoreTrust)]
    assert stored == [StoreTrust(encode_state(TrustState(muted=(ANN.author,))))]


def test_a_rotten_store_of_trust_is_dropped_and_the_hub_goes_on() -> None:
    effects = Node(MESH, ANN, Rng(1)).handle(Started(1, trust=b"\x90"), 1)
    assert drops(effects) == [Reason.WRONG_ARITY]


def test_a_shared_session_counts() -> None:
    two = Two()
    two.left.session_shared(two.author("right"), two.now)
    assert two.value("left", "right") > 0


def test_without_a_date_no_session_in_a_glitch_counts_and_its_amnesty_is_dated_when_the_hub_is() -> None:
    hub = Hub()
    bonds, since, until = hub.node._bonds, hub.now - SECOND, hub.now + MINUTE
    assert bonds.pardon(Pardon(ANN.author, since, until + MINUTE)) == []
    assert bonds.pardon(Pardon(ANN.author, since, until)) == []
    hub.node.session_shared(ANN.author, until)
    assert hub.node.standing(ANN.author, until) == 0
    hub.node.session_shared(ANN.author, until + 1)
    assert hub.node.standing(ANN.author, until) > 0
    utc_ms = 1_750_000_000_000
    hub.act(UtcObserved(utc_ms, 10))
    offset_ms = utc_ms - hub.now // MS
    assert bonds.trust.state().amnesties == ((ANN.author, since // MS + offset_ms, until // MS + offset_ms),)
    assert hub.node.standing(ANN.author, hub.now) > 0


def test_praise_of_a_stranger_alone_makes_no_link_evidence_of_a_glitch() -> None:
    two = Two()
    two.attest("left", "right")
    assert two.left._bonds.trusts(two.author("right"), two.now)
    assert two.value("right", "left") > 0
    assert not two.right._bonds.trusts(two.author("left"), two.now)


def written(seq: int, prev: EventId | None, heads: tuple[EventId, ...], incarnation: int, text: str) -> EventMessage:
    """An event of Ann's, as its author sends it."""
    payload = Payload(bytes(16), encode_story(Story(text, "")))
    signed = event_bytes(
        MESH.mesh_id,
        EventFields(
            author=ANN.author,
            rotation=0,
            incarnation=incarnation,
            seq=seq,
            prev=prev,
            heads=heads,
            kind=STORY,
            payload_hash=payload.hash(),
            payload_size=len(payload.content),
        ),
    )
    return EventMessage(signed, ANN.sign(signed), payload)


def test_a_fork_counts_until_its_branches_are_one_again() -> None:
    hub = Hub()
    hub.join(1, ANN)

    def hear(message: EventMessage) -> None:
        for effect in hub.say(1, message):
            if isinstance(effect, StoreEvents):
                hub.act(Stored(effect.ticket))

    one, other = (written(1, None, (), 1, text) for text in ("one", "other"))
    names = [EventId(digest(message.signed)) for message in (one, other)]
    hear(one)
    assert hub.node.standing(ANN.author, hub.now) == 0.0
    hear(other)
    assert hub.node.explain(ANN.author, hub.now).proven
    assert hub.node.standing(ANN.author, hub.now) == -1.0
    hear(written(2, names[0], (names[1],), 1, "both are mine"))
    assert hub.node.standing(ANN.author, hub.now) == 0.0
