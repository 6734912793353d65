"""Trust through whole Nodes: words written, sealed, read, kept and taken back; meetings; what it gates and what not."""

from __future__ import annotations

from protocol.clock import MINUTE, MS, SECOND
from protocol.crypto import digest
from protocol.effects import (
    Effect,
    Emit,
    Event,
    EventWritten,
    KeepKeyState,
    LoadPayload,
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
from protocol.inputs import (
    Attest,
    ConfirmMeeting,
    MeetPeer,
    Regard,
    ShowCard,
    Started,
    Stored,
    UtcObserved,
    WriteEvent,
)
from protocol.limits import CIRCLE_MAX
from protocol.node import Node
from protocol.rng import Rng
from protocol.trust.memory import encode_state
from protocol.trust.values import Source, TrustState
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
    assert [node.remembers for node in (two.left, two.right)] == [False, False]
    two.advance(20 * SECOND)
    assert [node.remembers for node in (two.left, two.right)] == [True, True]
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


def test_the_keys_of_whoever_is_spoken_of_are_kept() -> None:
    hub = Hub()
    hub.join(1, ANN)
    kept = [one for one in hub.act(Attest(1, ANN.author, 100, SEED)) if isinstance(one, KeepKeyState)]
    assert ANN.author in [one.author for one in kept], "beside our own"
    again = hub.act(Attest(2, ANN.author, 50, digest(SEED)))
    assert not [one for one in again if isinstance(one, KeepKeyState)]


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
    (_, lost) = two.of(MeetingEnded)[0]
    assert lost == MeetingEnded(two.author("right"), met=False, why="there is no link with that hub now")


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
    assert drops(effects) == [Reason.OUT_OF_RANGE]


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


def test_whoever_begins_a_meeting_anew_with_the_same_hub_still_vouches() -> None:
    two = Two()
    two.give("left", MeetPeer(6, two.author("right"), digest(b"first", key=SEED)))
    two.give("left", MeetPeer(7, two.author("right"), digest(b"again", key=SEED)))
    two.advance(SECOND)
    assert not two.of(MeetingEnded)
    two.give("right", MeetPeer(8, two.author("left"), digest(b"right", key=SEED)))
    two.advance(SECOND)
    for who, peer in (("left", "right"), ("right", "left")):
        two.give(who, ConfirmMeeting(two.author(peer), same=True))
    two.advance(SETTLE)
    assert sorted(event.request for _, event in two.of(EventWritten) if isinstance(event, EventWritten)) == [7, 8]


def test_meetings_that_cross_on_their_way_come_together_when_both_begin_once_more() -> None:
    two = Two()
    tries = iter(range(100))

    def begin(who: str) -> None:
        peer = two.author("right" if who == "left" else "left")
        number = next(tries)
        two.give(who, MeetPeer(number, peer, digest(b"try", key=bytes([number]) * 32)))

    for who in ("left", "left", "right"):
        begin(who)
    two.advance(SECOND)
    assert [who for who, _ in two.of(MeetingCode)] == ["left"]
    two.news.clear()
    for who in ("right", "left"):
        begin(who)
        two.advance(SECOND)
    codes = {who: event.code for who, event in two.of(MeetingCode) if isinstance(event, MeetingCode)}
    assert codes.keys() == {"left", "right"}
    assert codes["left"] == codes["right"]


class Three(Two):
    """Beside the two a third, whom both know; remembers whose store was read how often."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.world.stepped.append(self._on_step)
        third = self.world.add("third", person=False)
        for who in ("left", "right"):
            self.world.discovery.introduce(self.host(who), third)
        self.advance(SETTLE)

    def _on_step(self, host: Host, input: object, effects: list[Effect]) -> None:
        self.read += [host.name for effect in effects if isinstance(effect, LoadPayload) and effect.peer == host.author]

    def third_hears(self, about: str, of: str) -> float:
        """What the third hub makes of what one says of the other, without having heard of either before."""
        node = self.host("third").node
        assert isinstance(node, Node)
        lines = node.explain(self.author(about), self.now).standing.lines
        return sum(line.opinion for line in lines if line.source is Source.STRANGERS)

    def circle(self, who: str, member: str, *, on: bool = True) -> None:
        self.give(who, Regard(self.author(member), "circle", on))


def test_words_sealed_to_a_key_that_was_rotated_away_are_still_read() -> None:
    two = Two()
    two.attest("left", "right")
    two.attest("right", "left", -50)
    before = two.value("left", "right"), two.value("right", "left")
    two.crash("right")
    two.world.rotate_key(two.host("right"))
    two.restart("right")
    two.advance(20 * SECOND)
    assert (two.value("left", "right"), two.value("right", "left")) == before
    two.attest("left", "right", -100, number=2)
    assert two.value("right", "left") != before[1]


def test_what_is_for_others_is_read_once_and_not_again_after_a_restart() -> None:
    three = Three()
    three.attest("left", "right")
    assert three.read.count("third") == 1
    assert three.third_hears("right", "left") == 0
    three.give("third", Regard(three.author("left"), "mute", True))  # a reason to write the file
    three.advance(SETTLE)
    three.crash("third")
    three.restart("third")
    three.advance(20 * SECOND)
    assert three.read.count("third") == 1
    three.crash("third")
    three.world.rotate_key(three.host("third"))
    three.restart("third")
    three.advance(20 * SECOND)
    assert three.read.count("third") == 2, "another key may open what the one before could not"


def test_only_a_contact_in_the_circle_reads_what_is_said_of_others() -> None:
    three = Three()
    three.circle("left", "third")
    three.attest("left", "right", number=1)
    assert three.third_hears("right", "left") == 0, "nobody whom its person does not vouch for"
    three.attest("left", "third", number=2)
    three.attest("left", "right", number=3)
    assert three.third_hears("right", "left") > 0
    assert three.left.circle() == {three.author("third"): True}
    assert three.value("right", "left") > 0, "its subject reads it as well"


def test_who_left_the_circle_or_is_blocked_reads_no_more() -> None:
    three = Three()
    three.circle("left", "third")
    three.attest("left", "third", number=1)
    three.give("left", Regard(three.author("third"), "block", True))
    assert three.left.circle() == {three.author("third"): False}
    three.attest("left", "right", number=2)
    assert three.third_hears("right", "left") == 0
    three.give("left", Regard(three.author("third"), "block", False))
    three.circle("left", "third", on=False)
    assert three.left.circle() == {}
    three.attest("left", "right", number=3)
    assert three.third_hears("right", "left") == 0


def test_a_circle_has_its_bound_and_is_there_after_a_restart() -> None:
    two = Two()
    for number in range(CIRCLE_MAX + 3):
        two.give("left", Regard(AuthorId(number.to_bytes(32, "big")), "circle", True))
    assert len(two.left.circle()) == CIRCLE_MAX
    assert not any(two.left.circle().values()), "nothing is known of them, so nothing is sealed to them"
    two.advance(SETTLE)
    two.crash("left")
    two.restart("left")
    two.advance(20 * SECOND)
    assert len(two.left.circle()) == CIRCLE_MAX


def test_two_people_meet_by_a_card_and_only_one_of_them_compares() -> None:
    two = Two()
    card = bytes(range(16))
    two.give("left", ShowCard(1, card, digest(b"left", key=SEED)))
    two.give("right", MeetPeer(2, two.author("left"), digest(b"right", key=SEED), card))
    two.advance(SECOND)
    codes = [event.code for _, event in two.of(MeetingCode) if isinstance(event, MeetingCode)]
    assert len(codes) == 2
    assert codes[0] == codes[1]
    for who, peer in (("right", "left"), ("left", "right")):
        assert two.of(EventWritten) == []
        two.give(who, ConfirmMeeting(two.author(peer), same=True))
        two.advance(SECOND)
    two.advance(SETTLE)
    assert sorted(who for who, _ in two.of(EventWritten)) == ["left", "right"]
    assert two.value("left", "right") == two.value("right", "left") > 0.8
