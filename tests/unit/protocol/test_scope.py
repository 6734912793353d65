"""How much of a large mesh a hub passes on: everybody, then one sample that all hubs find alike (section 11)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from protocol.clock import SECOND, Instant
from protocol.gossip.scope import HOUR_MS, Bucket, Scope, ScopeConfig, sample_hash
from protocol.ids import AuthorId
from protocol.rng import Rng

NOON_MS = 490_000 * HOUR_MS


def authors(count: int, seed: int = 1) -> list[AuthorId]:
    """So many authors."""
    rng = Rng(seed)
    return [AuthorId(b"".join(rng.u64().to_bytes(8, "big") for _ in range(4))) for _ in range(count)]


def nobody(author: AuthorId) -> bool:
    """No links."""
    return False


def looked(everybody: list[AuthorId], seconds: int = 1, utc_ms: int | None = NOON_MS) -> Scope:
    """A scope that has seen these authors once a second."""
    scope = Scope(ScopeConfig(), nobody)
    for second in range(seconds):
        scope.look(everybody, utc_ms, second * SECOND)
    return scope


class Venue:
    """Hubs that each hear what they and all others carry: who is in the sample decides who is heard."""

    def __init__(self, count: int, hubs: int) -> None:
        self.everybody = authors(count)
        self.hubs = [Scope(ScopeConfig(), nobody) for _ in range(hubs)]
        self.heard: list[list[AuthorId]] = [[] for _ in range(hubs)]
        self.now: Instant = 0

    def run(self, seconds: int, utc_ms: int = NOON_MS) -> None:
        """Once a second everybody speaks, what is carried arrives, and every hub looks."""
        for _ in range(seconds):
            carried = [author for author in self.everybody if any(hub.carries(author) for hub in self.hubs)]
            for number, hub in enumerate(self.hubs):
                near = self.everybody[7 * number : 7 * number + 7]  # those within two hops are heard anyway
                self.heard[number] = list(dict.fromkeys([*near, *carried]))[:1_024]
                hub.look(self.heard[number], utc_ms, self.now)
            self.now += SECOND

    def sample(self, hub: int) -> list[AuthorId]:
        """Whom a hub carries for everybody."""
        return [author for author in self.everybody if self.hubs[hub].carries(author)]


# --- small meshes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 16, 300])
def test_up_to_300_authors_everybody_is_covered(count: int) -> None:
    everybody = authors(count)
    scope = looked(everybody)
    assert scope.whole
    assert all(scope.carries(author) for author in everybody)
    assert scope.statistics().authors_estimate == count


def test_the_301st_author_makes_a_sample_of_about_256() -> None:
    everybody = authors(301)
    scope = looked(everybody)
    assert not scope.whole
    assert 220 <= sum(map(scope.carries, everybody)) <= 290


# --- large meshes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [400, 1_000, 3_000])
def test_all_hubs_of_a_large_mesh_carry_the_same_sample(count: int) -> None:
    venue = Venue(count, 5)
    venue.run(60)
    samples = [venue.sample(hub) for hub in range(5)]
    assert all(sample == samples[0] for sample in samples)
    assert 240 <= len(samples[0]) <= 300


@pytest.mark.parametrize("count", [400, 1_000, 3_000])
def test_the_size_of_the_mesh_is_estimated_from_the_sample(count: int) -> None:
    venue = Venue(count, 1)
    venue.run(60)
    assert abs(venue.hubs[0].statistics().authors_estimate - count) <= 0.2 * count


def test_when_most_have_gone_everybody_is_covered_again() -> None:
    venue = Venue(1_000, 3)
    venue.run(30)
    venue.everybody = venue.everybody[:200]
    venue.run(120)
    assert all(hub.whole for hub in venue.hubs)


def test_the_share_grows_one_step_at_a_time() -> None:
    scope = looked(authors(1_000), 5)
    shares = []
    for second in range(5, 36):
        scope.look(authors(100), NOON_MS, second * SECOND)
        shares.append(scope.statistics().share)
    assert len(set(shares)) <= 4
    assert all(later <= 1.2 * earlier for earlier, later in pairwise(shares))


def test_the_authors_of_linked_hubs_are_carried_whatever_the_sample() -> None:
    everybody = authors(1_000)
    near = dict.fromkeys(everybody[:7])
    scope = Scope(ScopeConfig(), lambda author: author in near)
    scope.look(everybody, NOON_MS, 0)
    assert all(scope.carries(author) for author in near)
    assert sum(map(scope.carries, everybody)) < 320


# --- epochs -----------------------------------------------------------------------------------------------------


def test_another_hour_is_another_sample() -> None:
    venue = Venue(1_000, 2)
    venue.run(30)
    before = venue.sample(0)
    venue.run(120, NOON_MS + HOUR_MS)
    after = venue.sample(0)
    assert after == venue.sample(1)
    assert 240 <= len(after) <= 300
    assert len(set(before) & set(after)) < 130


def test_in_a_day_nearly_everybody_has_been_in_the_sample() -> None:
    covered = {
        author for author in authors(1_000) for hour in range(24) if sample_hash(author, 490_000 + hour) < 1 << 62
    }
    assert len(covered) >= 990


def test_the_share_rests_while_a_new_sample_is_on_its_way() -> None:
    everybody = authors(1_000)
    scope = looked(everybody, 5)
    share = scope.statistics().share
    held = [author for author in everybody if scope.carries(author)]
    for second in range(5, 90):
        scope.look(held, NOON_MS + HOUR_MS, second * SECOND)
        assert scope.statistics().share == share


def test_a_hub_without_a_date_passes_on_whatever_its_neighbors_cover() -> None:
    everybody = authors(1_000)
    scope = looked(everybody, utc_ms=None)
    assert not scope.whole
    assert all(scope.carries(author) for author in everybody)
    scope.look(everybody, NOON_MS, SECOND)
    assert not all(scope.carries(author) for author in everybody)


def test_the_hash_of_an_author_is_that_of_the_document() -> None:
    assert sample_hash(AuthorId(bytes(32)), 1) == 0x149A63A0FFC93086
    assert sample_hash(AuthorId(bytes(32)), 1) != sample_hash(AuthorId(bytes(32)), 256)


# --- the bucket -------------------------------------------------------------------------------------------------


def test_a_bucket_lets_its_burst_pass_and_then_its_rate() -> None:
    bucket = Bucket(1_000, 2_000, 0)
    passed = 0
    for now in range(0, 10 * SECOND, SECOND // 10):
        while bucket.ready_at(now) == now:
            bucket.spend(100)
            passed += 100
    assert 11_800 <= passed <= 12_100


def test_a_bucket_says_when_it_is_ready_again() -> None:
    bucket = Bucket(1_000, 500, 0)
    bucket.spend(700)
    at = bucket.ready_at(0)
    assert 200_000 < at <= 202_000
    assert bucket.ready_at(at) == at
