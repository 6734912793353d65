"""A few hundred machines on a random graph with 10 to 50 ms a link: what the trees of the paper promise, and more.

The same at 10,000, beside the published figures, is ``python -m sim papers plumtree``.
"""

from __future__ import annotations

from protocol.clock import MS, SECOND
from protocol.gossip.trees import TreesConfig
from protocol.rng import Rng
from tests.unit.protocol.forest import Forest, Story, regular

COUNT = 300


def forest(seed: int, config: TreesConfig | None = None, loss: float = 0.0) -> Forest:
    """A world of 300."""
    return Forest(regular(COUNT, 6, Rng(seed)), config or TreesConfig(), seed, loss=loss)


def speak(world: Forest, senders: list[int], rounds: int, gap: int) -> list[Story]:
    """Every sender in turn, so many times."""
    stories = []
    for _ in range(rounds):
        for sender in senders:
            stories.append(world.broadcast(sender))
            world.run(world.now + gap)
    return stories


def redundancy(stories: list[Story]) -> float:
    """The mean of all."""
    return sum(story.redundancy for story in stories) / len(stories)


def test_random_senders_share_one_tree_without_copies_to_spare() -> None:
    world = forest(1)
    senders = [world.rng.below(COUNT) for _ in range(40)]
    first, *_ = speak(world, senders[:1], 1, 2 * SECOND)
    later = speak(world, senders[1:], 1, 2 * SECOND)[10:]
    assert all(len(story.hops) == COUNT - 1 for story in later)
    assert first.redundancy > 3  # the flood that makes the tree
    assert redundancy(later) <= 0.05
    assert max(story.last_hop for story in later) <= 13
    assert world.twice == 0


def test_busy_authors_have_trees_that_are_as_fast_as_flooding() -> None:
    world = forest(2)
    senders = world.rng.sample(range(COUNT), 10)
    stories = speak(world, senders, 12, 100 * MS)
    world.run(world.now + 3 * SECOND)
    warm = stories[50:]
    assert all(len(story.hops) == COUNT - 1 for story in warm)
    assert redundancy(warm) <= 0.05
    assert max(story.last_hop for story in warm) <= 10
    slowest = max((story.last_at - story.at) / world.flood_us(story.origin) for story in warm)
    assert slowest <= 1.2
    assert world.twice == 0


def test_announcements_weigh_less_than_a_tenth_of_what_they_announce() -> None:
    world = forest(3)
    senders = world.rng.sample(range(COUNT), 10)
    speak(world, senders, 5, 50 * MS)
    before = world.control_bytes
    stories = speak(world, senders, 20, 50 * MS)
    world.run(world.now + 3 * SECOND)
    assert world.control_bytes - before <= 0.1 * 200 * sum(story.payloads for story in stories)


def test_everything_arrives_while_members_die_and_every_twentieth_message_waits() -> None:
    world = forest(4, loss=0.05)
    stories = []
    for _ in range(25):
        alive = [node for node in range(COUNT) if world.alive[node]]
        for node in world.rng.sample(alive, 2):
            world.die(node)
        stories.append(world.broadcast(world.rng.choice([node for node in alive if world.alive[node]])))
        world.run(world.now + SECOND)
    world.run(world.now + 10 * SECOND)
    alive = [node for node in range(COUNT) if world.alive[node]]
    for story in stories:
        assert [node for node in alive if node not in story.hops and node != story.origin] == []
    assert world.twice == 0


def test_the_parameters_of_the_paper_give_the_flood_first_and_then_a_tree() -> None:
    world = Forest(regular(COUNT, 5, Rng(5)), TreesConfig.plumtree_paper(3), 5)
    stories = speak(world, [7], 20, 2 * SECOND)
    assert all(len(story.hops) == COUNT - 1 for story in stories)
    assert stories[0].redundancy > 2
    assert redundancy(stories[10:]) <= 0.05


def test_one_seed_is_one_story() -> None:
    runs = []
    for _ in range(2):
        world = forest(6, loss=0.05)
        stories = speak(world, world.rng.sample(range(COUNT), 5), 3, 100 * MS)
        runs.append(([(story.last_at, story.payloads, story.hops) for story in stories], world.control_bytes))
    assert runs[0] == runs[1]
