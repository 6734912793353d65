"""Which link carries whom: PRUNE, GRAFT, DIGEST, and the repair of what was missed (section 7.3, R44 to R47)."""

from __future__ import annotations

import pytest

from protocol.effects import Effect
from protocol.ids import LinkId
from protocol.inputs import LinkDown
from protocol.limits import COUNTER_MAX, DIGEST_ENTRIES_MAX, TAGS_MAX
from protocol.wire import messages as wire
from tests.unit.protocol.hub import Couple, Hub, closed, drops, sent, shown, vectors_sent
from tests.unit.protocol.people import ANN, BEN, CAT, DAN, EVE, ME, Made, keys, person, tag, vector

LASTING = Made(lease_ms=60_000)
PRUNE_CAT = wire.Prune((tag(CAT),))
GRAFT_CAT = wire.Graft((tag(CAT),))


def linked() -> Hub:
    """A hub with links 1 (Ann), 2 (Ben) and 3 (Eve), on each of which Cat's key state was carried."""
    hub = Hub()
    for link, who in enumerate((ANN, BEN, EVE), start=1):
        hub.join(link, who)
        hub.say(link, keys(CAT))
    return hub


def digests(effects: list[Effect], link: int) -> list[wire.DigestEntry]:
    """All that was digested on a link."""
    return [entry for m in sent(effects, link) if isinstance(m, wire.Digest) for entry in m.entries]


def offer(seq: int, boot: int = 1) -> wire.Digest:
    """Somebody holds this number of Cat's."""
    return wire.Digest((wire.DigestEntry(tag(CAT), 0, boot, seq),))


# --- prune ------------------------------------------------------------------------------------------------------


def test_a_duplicate_from_another_link_is_pruned_there_and_no_longer_pushed_there() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    effects = hub.say(2, vector(CAT, 1))
    assert (drops(effects), sent(effects)) == (["duplicate"], [PRUNE_CAT])
    hub.now += 1_000_000
    relayed = hub.drain() + hub.say(1, vector(CAT, 2)) + hub.drain()
    assert vectors_sent(relayed, 2) == []
    assert len(vectors_sent(relayed, 3)) == 1


def test_a_superseded_vector_from_another_link_is_pruned_there_as_well() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 2))
    hub.drain()
    effects = hub.say(2, vector(CAT, 1))
    assert (drops(effects), sent(effects)) == (["superseded"], [PRUNE_CAT])


def test_a_duplicate_from_the_link_that_brought_it_prunes_nothing() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    assert sent(hub.say(1, vector(CAT, 1)) + hub.drain()) == []


def test_a_link_is_pruned_once_and_again_only_if_it_still_pushes_two_seconds_later() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    said = [m for _ in range(5) for m in sent(hub.say(2, vector(CAT, 1)) + hub.drain(), 2)]
    assert said == [PRUNE_CAT]
    hub.now += 1_999_999
    assert sent(hub.say(2, vector(CAT, 1)) + hub.drain(), 2) == []
    hub.now += 1
    assert sent(hub.say(2, vector(CAT, 1)) + hub.drain(), 2) == [PRUNE_CAT]


def test_a_duplicate_from_its_author_prunes_the_other_link_instead() -> None:
    hub = linked()
    hub.join(4, CAT)
    hub.say(1, vector(CAT, 1))
    hub.drain()
    effects = hub.say(4, vector(CAT, 1)) + hub.drain()
    assert (sent(effects, 1), sent(effects, 4)) == ([PRUNE_CAT], [])
    assert sent(hub.say(4, vector(CAT, 1)) + hub.drain()) == []


def test_a_prune_makes_its_sender_lazy_and_takes_back_what_waited() -> None:
    hub = linked()
    hub.say(2, wire.Ping(1))
    hub.say(1, vector(CAT, 1))
    hub.say(2, PRUNE_CAT)
    assert vectors_sent(hub.drain(), 2) == []
    hub.now += 1_000_000
    assert vectors_sent(hub.say(1, vector(CAT, 2)) + hub.drain(), 2) == []
    assert next(line.lazy for line in hub.statistics().links if line.link == 2) == 1


def test_a_prune_on_one_link_says_nothing_about_another_link_or_author() -> None:
    hub = linked()
    hub.say(1, keys(DAN), vector(DAN, 1), vector(CAT, 1))
    hub.drain()
    hub.say(2, PRUNE_CAT)
    hub.now += 1_000_000
    effects = hub.say(1, vector(DAN, 2), vector(CAT, 2)) + hub.drain()
    assert vectors_sent(effects, 2) == [vector(DAN, 2)]
    assert len(vectors_sent(effects, 3)) == 2


def test_tags_of_nobody_we_hold_are_ignored() -> None:
    hub = linked()
    unknown = tuple(number.to_bytes(8, "big") for number in range(TAGS_MAX))
    assert hub.say(2, wire.Prune(unknown), wire.Graft(unknown)) == []


def test_every_prune_leaves_even_if_more_wait_than_one_message_holds() -> None:
    hub = Hub(verifier=lambda key, message, signature: True)
    hub.join(1, ANN)
    hub.join(2, BEN)
    crowd = [person(1_000 + number) for number in range(TAGS_MAX + 44)]
    hub.say(2, wire.Ping(1))
    for who in crowd:
        hub.say(1, keys(who), vector(who, 1, LASTING))
        hub.say(2, vector(who, 1, LASTING))
    said = [m for m in sent(hub.drain(), 2) if isinstance(m, wire.Prune)]
    assert {one for message in said for one in message.tags} == {tag(who) for who in crowd}


# --- graft ------------------------------------------------------------------------------------------------------


def test_a_graft_is_answered_with_the_newest_at_once_and_makes_the_link_eager() -> None:
    hub = linked()
    hub.say(2, PRUNE_CAT)
    hub.say(1, vector(CAT, 1))
    hub.say(2, PRUNE_CAT)
    hub.drain()
    hub.now += 100_000
    assert vectors_sent(hub.say(2, GRAFT_CAT), 2) == [vector(CAT, 1, age_ms=100)]
    hub.drain()
    hub.now += 1_000_000
    assert len(vectors_sent(hub.say(1, vector(CAT, 2)) + hub.drain(), 2)) == 1


def test_a_graft_for_the_peers_own_vector_is_not_answered() -> None:
    hub = linked()
    hub.say(1, vector(ANN, 1))
    hub.drain()
    assert hub.say(1, wire.Graft((tag(ANN),))) == []


# --- digest -----------------------------------------------------------------------------------------------------


def test_a_digest_names_the_lazy_authors_of_a_link_once_a_second_while_they_change() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, LASTING))
    hub.say(2, PRUNE_CAT)
    hub.drain()
    found = digests(hub.advance(3_000_000), 2)
    assert found == [wire.DigestEntry(tag(CAT), 0, 1, 1)]
    hub.say(1, vector(CAT, 2, LASTING))
    assert digests(hub.advance(1_100_000), 2) == [wire.DigestEntry(tag(CAT), 0, 1, 2)]


def test_a_digest_is_repeated_within_a_third_of_the_lease() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1, LASTING))
    hub.say(2, PRUNE_CAT)
    hub.drain()
    assert len(digests(hub.advance(55_000_000), 2)) == 3  # the first, and after 20 s and 40 s


def test_eager_authors_and_the_peers_own_are_not_digested() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1), vector(ANN, 1))
    hub.drain()
    hub.say(1, wire.Prune((tag(ANN),)))
    assert digests(hub.advance(3_000_000), 1) == []
    assert digests(hub.advance(3_000_000), 2) == []


def test_each_of_many_lazy_authors_is_digested_within_a_third_of_its_lease() -> None:
    hub = Hub(verifier=lambda key, message, signature: True)
    hub.join(1, ANN)
    hub.join(2, BEN)
    crowd = [person(1_000 + number) for number in range(DIGEST_ENTRIES_MAX + 44)]
    for who in crowd:
        hub.say(1, keys(who), vector(who, 1, LASTING))
    hub.say(2, wire.Prune(tuple(tag(who) for who in crowd[:256])), wire.Prune(tuple(tag(who) for who in crowd[256:])))
    named: set[bytes] = set()
    for seq in range(2, 22):
        named.update(entry.tag for entry in digests(hub.advance(1_000_000), 2))
        for who in crowd:
            hub.say(1, vector(who, seq, LASTING))
    assert named == {tag(who) for who in crowd}


def test_who_is_behind_a_digest_for_longer_than_a_cadence_grafts() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.say(2, vector(CAT, 1))
    hub.drain()
    assert sent(hub.say(2, offer(3))) == []
    hub.now += 999_999
    assert sent(hub.say(2, offer(4))) == []
    hub.now += 1
    assert sent(hub.say(2, offer(5)), 2) == [GRAFT_CAT]


def test_who_catches_up_before_the_cadence_is_over_does_not_graft() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    said = []
    for seq in range(2, 12):
        said += sent(hub.say(2, offer(seq)), 2)
        hub.now += 500_000
        hub.say(1, vector(CAT, seq))
        hub.now += 500_000
        said += [message for message in sent(hub.drain(), 2) if isinstance(message, wire.Graft)]
    assert [message for message in said if isinstance(message, wire.Graft)] == []


def test_an_author_that_only_a_digest_names_is_grafted_at_once() -> None:
    hub = linked()
    assert sent(hub.say(2, offer(3)), 2) == [GRAFT_CAT]
    effects = hub.drain() + hub.say(2, vector(CAT, 3))
    assert shown(effects) == [(CAT.author, 3)]


def test_a_digest_of_ourselves_is_not_grafted() -> None:
    hub = linked()
    assert hub.say(2, wire.Digest((wire.DigestEntry(tag(ME), 0, 9, 9),))) == []


@pytest.mark.parametrize(("boot", "seq"), [(1, COUNTER_MAX), (COUNTER_MAX, COUNTER_MAX), (COUNTER_MAX, 1)])
def test_a_digest_that_lies_about_a_number_silences_nobody(boot: int, seq: int) -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    for number in range(2, 10):
        effects = hub.say(3, offer(seq, boot)) + hub.advance(1_000_000)
        assert closed(effects) == []
        assert shown(hub.say(1, vector(CAT, number))) == [(CAT.author, number)]


def test_a_flood_of_digests_is_answered_by_one_bounded_graft_a_frame() -> None:
    hub = linked()
    tags = [number.to_bytes(8, "big") for number in range(2_560)]
    hub.say(3, wire.Ping(1))
    for start in range(0, 2_560, 256):
        hub.say(3, wire.Digest(tuple(wire.DigestEntry(one, 0, 1, 1) for one in tags[start : start + 256])))
    grafts = [message for message in sent(hub.drain(), 3) if isinstance(message, wire.Graft)]
    assert [len(message.tags) for message in grafts] == [TAGS_MAX]


# --- a link that goes down --------------------------------------------------------------------------------------


def test_an_author_whose_link_goes_down_is_asked_for_on_another_link_at_once() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.say(2, vector(CAT, 1))
    hub.drain()
    effects = hub.act(LinkDown(LinkId(1), None)) + hub.drain()
    assert GRAFT_CAT in sent(effects, 2)


def test_the_link_that_offered_the_newest_is_asked_first() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 5))
    for link in (2, 3):
        hub.say(link, vector(CAT, 5))
    hub.say(2, offer(6))
    hub.say(3, offer(7))
    hub.drain()
    effects = hub.act(LinkDown(LinkId(1), None)) + hub.drain()
    assert (GRAFT_CAT in sent(effects, 2), GRAFT_CAT in sent(effects, 3)) == (False, True)


def test_a_link_that_brought_nobody_may_go_without_a_graft() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.say(2, vector(CAT, 1))
    hub.drain()
    effects = hub.act(LinkDown(LinkId(3), None)) + hub.drain()
    assert [message for message in sent(effects) if isinstance(message, wire.Graft)] == []


def test_the_link_that_answers_a_graft_stays_eager_even_if_it_brings_nothing_new() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.say(2, vector(CAT, 1))
    hub.drain()
    hub.act(LinkDown(LinkId(1), None))
    hub.drain()
    effects = hub.say(2, vector(CAT, 1)) + hub.drain()
    assert PRUNE_CAT not in sent(effects, 2)


def test_duplicates_after_the_loss_of_their_source_do_not_prune_every_other_link() -> None:
    hub = linked()
    hub.say(1, vector(CAT, 1))
    hub.drain()
    hub.act(LinkDown(LinkId(1), None))
    effects = hub.say(2, vector(CAT, 1)) + hub.say(3, vector(CAT, 1)) + hub.drain()
    assert sum(message == PRUNE_CAT for message in sent(effects)) == 1


def test_a_hub_cut_off_from_its_source_hears_the_author_by_the_pruned_link_within_seconds() -> None:
    hub, other = Hub(), Hub(BEN)
    hub.join(1, ANN)
    other.join(1, EVE)
    hub.join(2, BEN)
    other.join(2, ME)
    couple = Couple(hub, other, 2)
    hub.say(1, keys(CAT), vector(CAT, 1))
    other.say(1, keys(CAT), vector(CAT, 1))
    couple.settle()
    heard: list[int | None] = []
    for seq in range(2, 8):  # Ann goes on speaking of Cat; Eve keeps her link and falls silent about her
        hub.say(1, vector(CAT, seq))
        other.say(1, wire.Beat())
        couple.settle()
        couple.advance(1_000_000)
        heard.append(other.seq_of(CAT))
    assert heard[0] == 1, "the link between the two is lazy"
    assert heard[3:] == [5, 6, 7], "after a digest, a cadence and another digest it is eager again"
