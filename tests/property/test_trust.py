"""False names gain no more than the honest who were taken in; moods gain nothing; order changes nothing."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.collective.aggregate import Contribution, aggregate
from protocol.errors import DecodeError
from protocol.ids import AuthorId, EventId
from protocol.rng import Rng
from protocol.trust.attestations import ATTESTATION, decode_attestation, encode_attestation
from protocol.trust.trust import Trust
from protocol.trust.values import Attestation, TrustConfig, TrustState
from protocol.wire.block import make_block
from protocol.wire.events import PROFILE, STORY, EventFields, decode_event, event_bytes
from protocol.wire.registry import AROUSAL
from tests.unit.protocol.people import MESH
from tests.unit.protocol.trust_rig import NOW, hub, word

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
CONFIG = TrustConfig(walks=150)
FALSE = 1_000
"""Numbers from here on are false names."""


@dataclass(frozen=True)
class Attack:
    """Honest words, false names' words, and who is here."""

    words: tuple[Attestation, ...]
    edges: int
    present: tuple[AuthorId, ...]
    contacts: frozenset[AuthorId]


@st.composite
def attacks(draw: st.DrawFn) -> Attack:
    """Any honest graph, any graph of false names, who also speak of the honest, and any edges into them."""
    honest, false = draw(st.integers(1, 14)), draw(st.integers(1, 60))
    strength = st.integers(1, 100)
    people, names = st.integers(0, honest), st.integers(FALSE, FALSE + false - 1)
    kind = draw(st.lists(st.tuples(people, people, strength), max_size=60))
    taken_in = draw(st.lists(st.tuples(people, names, strength), max_size=12))
    shape = draw(st.sampled_from(("clique", "star", "chain", "any")))
    if shape == "clique":
        among = [(FALSE + one, FALSE + other, 100) for one in range(false) for other in range(false)]
    elif shape == "star":
        among = [(FALSE, FALSE + other, 100) for other in range(false)]
    elif shape == "chain":
        among = [(FALSE + one, FALSE + one + 1, 100) for one in range(false - 1)]
    else:
        among = draw(st.lists(st.tuples(names, names, strength), max_size=60))
    loud = draw(st.lists(st.tuples(names, people, st.integers(-100, 100)), max_size=40))
    here = draw(st.sets(people, max_size=honest + 1)) | draw(st.sets(names, max_size=false))
    if draw(st.booleans()):
        here |= set(range(FALSE, FALSE + false))
    said = [*kind, *taken_in, *among, *loud]
    words = tuple(word(issuer, subject, strength, turn + 1) for turn, (issuer, subject, strength) in enumerate(said))
    vouched = {(issuer, subject) for issuer, subject, _ in taken_in}
    contacts = {hub(subject) for issuer, subject, _ in kind if issuer == 0 and subject}
    return Attack(words, len(vouched), tuple(map(hub, sorted(here))), frozenset(contacts))


def is_false(name: AuthorId) -> bool:
    """Whether nobody stands behind this name."""
    return int.from_bytes(name, "big") >= FALSE


@SETTINGS
@given(attacks(), st.integers(0, 99))
def test_all_false_names_together_weigh_one_contact_for_each_attack_edge_and_have_one_seat(
    attack: Attack, seed: int
) -> None:
    trust = Trust(hub(0), CONFIG, Rng(seed))
    trust.start(TrustState(), attack.words, NOW)
    weights = trust.weights(attack.present, NOW)
    seats = trust.seats(attack.present, NOW)
    assert sum(weight for name, weight in weights.items() if is_false(name)) <= attack.edges
    assert sum(1 for name in seats if is_false(name)) <= attack.edges
    for name in attack.contacts.intersection(attack.present):
        assert weights[name] == 1.0
        assert name in seats
    assert all(0 < weight <= 1 for weight in weights.values())
    assert set(weights) | set(seats) <= set(attack.present) - {hub(0)}


@SETTINGS
@given(st.integers(1, 15), st.integers(1, 3), st.integers(1, 80), st.integers(0, 99))
def test_nor_do_they_if_all_who_are_honest_are_away_and_have_vouched_for_one_who_was_taken_in(
    contacts: int, edges: int, false: int, seed: int
) -> None:
    doors = range(FALSE, FALSE + edges)
    behind = range(FALSE + edges, FALSE + edges + false)
    said = [(0, 1 + number) for number in range(contacts)] + [(1 + number, 50) for number in range(contacts)]
    said += [(50, door) for door in doors] + [(door, name) for door in doors for name in behind]
    trust = Trust(hub(0), CONFIG, Rng(seed))
    trust.start(TrustState(), [word(one, other, 100, turn + 1) for turn, (one, other) in enumerate(said)], NOW)
    assert sum(trust.weights(map(hub, behind), NOW).values()) <= edges
    assert len(trust.seats(map(hub, behind), NOW)) <= edges


@SETTINGS
@given(attacks(), st.integers(0, 99))
def test_standings_are_the_same_in_whatever_order_words_come(attack: Attack, seed: int) -> None:
    one, other = (Trust(hub(0), CONFIG, Rng(number)) for number in (1, 2))
    one.start(TrustState(), attack.words, NOW)
    shuffled = list(attack.words)
    Rng(seed).shuffle(shuffled)
    for given_word in shuffled:
        other.learn(given_word, NOW)
    assert one.known() == other.known()
    for name in one.known():
        assert abs(one.standing(name, NOW).value - other.standing(name, NOW).value) < 1e-12


@SETTINGS
@given(attacks())
def test_what_false_names_say_of_whom_this_hub_knows_changes_no_bit(attack: Attack) -> None:
    mine = hub(0)
    honest = [one for one in attack.words if not is_false(one.issuer) and not is_false(one.subject)]
    noise = [one for one in attack.words if is_false(one.issuer) and one.subject != mine]
    quiet, loud = Trust(mine, CONFIG, Rng(1)), Trust(mine, CONFIG, Rng(1))
    quiet.start(TrustState(), honest, NOW)
    loud.start(TrustState(), [*honest, *noise], NOW)
    for name in attack.contacts:
        assert loud.standing(name, NOW) == quiet.standing(name, NOW)


# --- moods ----------------------------------------------------------------------------------------------------------

numbers = st.integers(1, 6)
values = st.floats(-1, 1)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("word"), numbers, numbers, st.integers(-100, 100)),
        st.tuples(st.just("mood"), numbers, st.lists(values | st.none(), min_size=1, max_size=8)),
        st.tuples(st.just("story"), numbers, st.binary(max_size=60)),
        st.tuples(st.just("refusal"), numbers),
    ),
    max_size=40,
)


class Crowd:
    """A hub that is told everything: words go to trust, what people feel and tell to everything else."""

    def __init__(self) -> None:
        self.trust = Trust(hub(0), CONFIG, Rng(3))
        self.trust.start(TrustState(), [word(0, 1), word(0, 2)], NOW)
        self.shared: dict[AuthorId, float] = {}
        self.turn = 1

    def event(self, author: int, kind: int, content: bytes) -> None:
        """Any event, as it comes from a chain: whatever says that it is an attestation goes to trust."""
        self.turn += 1
        name = hub(author)
        made = EventFields(author=name, rotation=0, incarnation=1, seq=self.turn, prev=EventId(bytes(32)), kind=kind)
        try:
            said = decode_attestation(decode_event(MESH.mesh_id, event_bytes(MESH.mesh_id, made), bytes(64)), content)
        except DecodeError:
            return
        self.trust.learn(said, NOW)

    def mood(self, author: int, felt: list[float | None]) -> None:
        """What somebody shares of how it feels, and how the crowd does then."""
        make_block((AROUSAL,), [(value,) for value in felt], (0.1,), dt_ms=250, quality=1.0, method=1)
        self.shared[hub(author)] = next((value for value in felt if value is not None), 0.0)
        aggregate([Contribution(name, value, None, 1.0) for name, value in self.shared.items()])

    def bits(self) -> tuple[object, ...]:
        """Everything that trust says, with values as bits."""
        present = [hub(number) for number in range(7)]
        return (
            [struct.pack(">d", self.trust.standing(name, NOW).value) for name in present],
            [self.trust.explain(name, NOW) for name in present],
            [(name, struct.pack(">d", value)) for name, value in self.trust.weights(present, NOW).items()],
            [(name, struct.pack(">d", value)) for name, value in self.trust.bandwidth(present, NOW).items()],
            self.trust.seats(present, NOW),
            self.trust.state(),
        )


@SETTINGS
@given(happenings)
def test_whatever_people_feel_tell_or_refuse_to_share_standing_is_bit_for_bit_the_same(
    story: list[tuple[object, ...]],
) -> None:
    everything, words_alone = Crowd(), Crowd()
    for happening in story:
        match happening:
            case ("word", int(issuer), int(subject), int(strength)):
                for crowd in (everything, words_alone):
                    crowd.turn = max(everything.turn, words_alone.turn)
                    crowd.event(issuer, ATTESTATION, encode_attestation(hub(subject), strength))
            case ("mood", int(author), list(felt)):
                everything.mood(author, felt)
            case ("story", int(author), bytes(content)):
                everything.event(author, STORY, content)
                everything.event(author, PROFILE, content)
            case ("refusal", int(author)):
                everything.shared.pop(hub(author), None)
            case _:
                raise AssertionError(happening)
    assert everything.bits() == words_alone.bits()
