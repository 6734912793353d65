"""Frontier and sketch: digests that follow the set, symbols that give back what differs, and nobody who can cheat."""

from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise
from statistics import fmean

import pytest

from protocol.errors import LocalProtocolError
from protocol.ids import AuthorId, EventId
from protocol.reconcile import frontier as frontiers
from protocol.reconcile import sketch
from protocol.reconcile.frontier import Frontier
from protocol.rng import Rng
from protocol.wire.reconciling import Entry

SALT = b"saltsalt"
ADA, BEN = AuthorId(b"a" * 32), AuthorId(b"b" * 32)


def entry(number: int) -> Entry:
    """One of many entries."""
    digest = blake2b(b"%d" % number).digest()
    return Entry(AuthorId(digest[:32]), 1, EventId(digest[32:]))


def frontier(numbers: range) -> Frontier:
    """A frontier of numbered entries."""
    made = Frontier()
    for number in numbers:
        made.add(entry(number))
    return made


def words(rng: Rng, count: int) -> list[int]:
    """Random words."""
    return [sketch.word(rng.u64().to_bytes(8, "big")[:5]) for _ in range(count)]


def test_the_mark_depends_on_the_set_and_not_on_the_order_or_the_way_there() -> None:
    one = frontier(range(40))
    other = frontier(range(50, -1, -1))
    for number in range(40, 51):
        other.discard(entry(number))
    other.discard(entry(99))
    other.add(entry(7), urgent=True)
    assert one.mark(SALT) == other.mark(SALT)
    assert len(one) == len(other) == 40
    assert entry(7) in one
    assert entry(41) not in one


def test_the_mark_of_an_emptied_frontier_is_that_of_an_empty_one() -> None:
    one = frontier(range(3))
    for number in (1, 0, 2):
        one.discard(entry(number))
    assert one.mark(SALT) == Frontier().mark(SALT)


def test_every_entry_and_the_salt_change_the_mark() -> None:
    one = frontier(range(20))
    marks = [one.mark(SALT), one.mark(b"saltsald")[8:].rjust(16)]
    for number in range(20):
        one.discard(entry(number))
        marks.append(one.mark(SALT))
        one.add(entry(number))
    assert len(set(marks)) == len(marks)


def test_sets_that_agree_in_any_sum_of_short_hashes_do_not_agree_in_the_mark() -> None:
    """XOR of 16-byte hashes: among 129 entries some subset always has XOR 0, and elimination finds it."""
    basis: dict[int, tuple[int, frozenset[int]]] = {}
    subset: frozenset[int] = frozenset()
    for number in range(129):
        value = int.from_bytes(blake2b(entry(number).packed, digest_size=16).digest(), "big")
        parts = frozenset({number})
        while value and (known := basis.get(value.bit_length())):
            value, parts = value ^ known[0], parts ^ known[1]
        if not value:
            subset = parts
            break
        basis[value.bit_length()] = (value, parts)
    assert subset, "found by linear algebra"
    fooled = Frontier()
    for number in sorted(subset):
        fooled.add(entry(number))
    assert fooled.mark(SALT) != Frontier().mark(SALT)


def test_lanes_are_added_each_by_itself() -> None:
    rng = Rng(3)
    for _ in range(4):
        left = [rng.choice((0, 1, 0x7FFF, 0x8000, 0xFFFF, rng.below(65_536))) for _ in range(frontiers.LANES)]
        right = [rng.choice((0, 1, 0x8000, 0xFFFF, rng.below(65_536))) for _ in range(frontiers.LANES)]
        one, other = (sum(lane << 16 * at for at, lane in enumerate(lanes)) for lanes in (left, right))
        total = frontiers._add(one, other)
        lanes = [total >> 16 * at & 0xFFFF for at in range(frontiers.LANES)]
        assert lanes == [(a + b) % 65_536 for a, b in zip(left, right, strict=True)]
        assert frontiers._subtract(total, other) == one


def test_a_frontier_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontiers, "FRONTIER_MAX", 3)
    full = frontier(range(3))
    full.add(entry(2), urgent=True)
    with pytest.raises(LocalProtocolError):
        full.add(entry(3))


def test_symbols_are_those_of_the_document() -> None:
    """Pinned: another implementation must find the same ones."""
    key = sketch.session_key(SALT, ADA, BEN)
    found = sketch.words([entry(number).packed for number in range(10)], key)
    assert key.hex() == "8fa58cc7bb3e730329a23b9fd75744ed"
    assert sketch.fingerprint(found[0]).hex() == "dfbcdc1fd6"
    assert sketch.pack(sketch.symbols(found, 0, 4)).hex() == "8fefbb0afa1c2dca4961375ae3f320a5db68ba33deaa7bab745dd3ac"
    assert sketch.indexes(found[0], 200) == [0, 1, 2, 3, 7, 8, 10, 36, 38, 39, 48, 56, 148]


def test_a_word_is_in_symbol_i_with_probability_two_over_i_plus_two() -> None:
    hits = [0] * 40
    for item in words(Rng(5), 4_000):
        places = sketch.indexes(item, 40)
        assert places[0] == 0
        assert all(left < right for left, right in pairwise(places))
        for place in places:
            hits[place] += 1
    for index in (1, 2, 5, 10, 20, 39):
        assert hits[index] / 4_000 == pytest.approx(2 / (index + 2), rel=0.15)


def test_symbols_of_a_later_stretch_are_those_of_the_whole() -> None:
    items = words(Rng(6), 50)
    whole = sketch.symbols(items, 0, 64)
    assert sketch.symbols(items, 24, 40) == whole[24:]
    assert sketch.unpack(sketch.pack(whole)) == whole


@pytest.mark.parametrize(("count", "times"), [(0, 5), (1, 20), (2, 40), (10, 30), (100, 4)])
def test_what_differs_comes_out_whatever_is_common(count: int, times: int) -> None:
    rng = Rng(count)
    step = max(1, count // 10)
    needed = []
    for _ in range(times):
        common, mine, theirs = words(rng, 30), words(rng, count // 2), words(rng, count - count // 2)
        own = sketch.Words("Q", common + mine)
        stream = sketch.symbols(common + theirs, 0, 20 * count + 60)
        decoder = sketch.Decoder(own)
        while not decoder.extend(stream[len(decoder) : len(decoder) + step]):
            pass
        found = decoder.difference(set(own))
        assert (sorted(found[0]), sorted(found[1])) == (sorted(mine), sorted(theirs))
        needed.append(len(decoder))
    assert fmean(needed) <= 1.9 * count + step


def test_ten_differences_come_out_of_24_symbols_in_all_but_a_few_sessions() -> None:
    rng, failed = Rng(10), 0
    for _ in range(150):
        common, mine, theirs = words(rng, 50), words(rng, 5), words(rng, 5)
        decoder = sketch.Decoder(sketch.Words("Q", common + mine))
        failed += not decoder.extend(sketch.symbols(common + theirs, 0, 24))
    assert failed <= 6


@pytest.mark.parametrize("seed", range(30))
def test_forged_symbols_end_and_are_never_complete(seed: int) -> None:
    rng = Rng(seed)
    own = sketch.Words("Q", words(rng, 40))
    decoder = sketch.Decoder(own)
    honest = sketch.symbols(words(rng, 12), 0, 256)
    for start in range(0, 256, 32):
        cells = [cell ^ rng.choice((0, 1 << rng.below(56), rng.u64() >> 8)) for cell in honest[start : start + 32]]
        cells[0] ^= 1 << rng.below(16)  # no set of words has this symbol
        assert not decoder.extend(cells)
    assert len(decoder) == 256


def test_a_word_that_goes_in_and_out_of_forged_symbols_is_given_up() -> None:
    item = words(Rng(1), 1)[0]
    places = sketch.indexes(item, 64)
    decoder = sketch.Decoder(sketch.Words("Q"))
    assert not decoder.extend([item if place in places[::2] else 0 for place in range(64)])


def test_fingerprints_of_two_sessions_have_nothing_in_common() -> None:
    entries = [entry(number).packed for number in range(200)]
    one = sketch.words(entries, sketch.session_key(SALT, ADA, BEN))
    other = sketch.words(entries, sketch.session_key(b"SALTsalt", ADA, BEN))
    turned = sketch.words(entries, sketch.session_key(SALT, BEN, ADA))
    assert not set(one) & set(other)
    assert not set(one) & set(turned)
    assert [sketch.word(sketch.fingerprint(item)) for item in one] == list(one)
