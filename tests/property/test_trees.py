"""Any connected graph, any order of arrival, any bits beforehand, and neighbors that lie: everybody gets everything
once, and nobody remembers more than the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.clock import MS, SECOND
from protocol.effects import SetTimer
from protocol.gossip.trees import TIMER, Deliver, Push, Trees, TreesConfig, TreesEffect
from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.wire.messages import Gossip, IHave, TreeGraft, TreeMessage, TreePrune, decode_frame, encode_frame

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
NAMES = [AuthorId(bytes([65 + number]) * 32) for number in range(10)]
CONFIGS = [
    TreesConfig(),
    TreesConfig(own_max=0, swap_shared_hops=1, far_shared_hops=0),
    TreesConfig(renew_count=2, renew_gap_us=0, swap_own_hops=1, far_own_hops=0),
    TreesConfig.plumtree_paper(1),
    TreesConfig.iroh(),
]


@dataclass
class Muddle:
    """Machines whose messages wait in one queue per direction until the test says which of them arrives next."""

    count: int
    config: TreesConfig
    now: int = 0
    links: dict[tuple[int, int], list[TreeMessage]] = field(default_factory=dict)
    got: dict[int, list[bytes]] = field(default_factory=dict)
    wakes: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trees = [Trees(self.config, Rng(number)) for number in range(self.count)]

    def link(self, left: int, right: int) -> None:
        """Two become neighbors."""
        if left != right and (left, right) not in self.links:
            self.links[left, right], self.links[right, left] = [], []
            self.do(left, self.trees[left].neighbor_up(NAMES[right], self.now))
            self.do(right, self.trees[right].neighbor_up(NAMES[left], self.now))

    def do(self, here: int, effects: list[TreesEffect]) -> None:
        """Apply effects; whatever leaves is a frame that the other side can read."""
        for effect in effects:
            if isinstance(effect, Push):
                assert decode_frame(encode_frame([effect.message])) == (effect.message,)
                self.links[here, NAMES.index(effect.peer)].append(effect.message)
            elif isinstance(effect, Deliver):
                assert effect.id not in self.got.setdefault(here, []), "delivered twice"
                self.got[here].append(effect.id)
            elif isinstance(effect, SetTimer):
                assert effect.at > self.now
                self.wakes[here] = effect.at

    def arrive(self, choice: int) -> bool:
        """The next message of one of the links that have any; False if all are empty."""
        full = [link for link, waiting in self.links.items() if waiting]
        if not full:
            return False
        source, here = full[choice % len(full)]
        message = self.links[source, here].pop(0)
        self.do(here, self.trees[here].receive(NAMES[source], message, self.now))
        return True

    def wait(self, duration: int) -> None:
        """Time passes, timers fire."""
        until = self.now + duration
        while due := [(at, here) for here, at in self.wakes.items() if at <= until]:
            at, here = min(due)
            del self.wakes[here]
            self.now = max(self.now, at)
            self.do(here, self.trees[here].timer(TIMER, self.now))
        self.now = until

    def settle(self) -> None:
        """Let everything arrive and all be asked for that is missing."""
        for _ in range(12):
            while self.arrive(0):
                pass
            self.wait(400 * MS)


def built(count: int, config: TreesConfig, parents: list[int], extra: list[tuple[int, int]]) -> Muddle:
    """A connected graph: everybody after the first is linked with somebody before, and some more links."""
    world = Muddle(count, config)
    for number in range(1, count):
        world.link(number, parents[number] % number)
    for left, right in extra:
        world.link(left % count, right % count)
    return world


def drawn(configs: list[TreesConfig]) -> st.SearchStrategy[tuple[int, TreesConfig, list[int], list[tuple[int, int]]]]:
    """What a graph is built of."""
    return st.tuples(
        st.integers(2, 9),
        st.sampled_from(configs),
        st.lists(st.integers(0, 8), min_size=9, max_size=9),
        st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=14),
    )


graphs = drawn(CONFIGS)
telling = drawn(CONFIGS[:3])
"""The presets of the paper and of iroh-gossip tell newcomers nothing of what was said before."""
steps = st.lists(
    st.tuples(st.sampled_from(["say", "arrive", "arrive", "arrive", "wait", "bits", "bits"]), st.integers(0, 99)),
    min_size=20,
    max_size=80,
)


@SETTINGS
@given(graphs, steps)
def test_everybody_gets_everything_once_whatever_the_order_and_the_bits(
    graph: tuple[int, TreesConfig, list[int], list[tuple[int, int]]], story: list[tuple[str, int]]
) -> None:
    world = built(*graph)
    said: list[tuple[bytes, int]] = []
    for what, choice in story:
        here = choice % world.count
        if what == "say":
            name = len(said).to_bytes(16, "big")
            said.append((name, here))
            world.do(here, world.trees[here].broadcast(name, NAMES[here], b"p", world.now))
        elif what == "arrive":
            world.arrive(choice)
        elif what == "wait":
            world.wait(choice * 7 * MS)
        else:  # a bit that no message has earned: somebody pruned or grafted without reason
            links = [link for link in world.links if link[1] == here]
            source, _ = links[choice % len(links)]
            author = NAMES[choice % 9] if choice % 2 else None
            message = TreePrune(author) if choice % 3 else TreeGraft(author, b"")
            world.do(here, world.trees[here].receive(NAMES[source], message, world.now))
    world.settle()
    for here in range(world.count):
        assert sorted(world.got.get(here, [])) == sorted(name for name, origin in said if origin != here)


@SETTINGS
@given(telling, st.integers(0, 8), st.integers(0, 20))
def test_what_is_said_while_apart_arrives_over_the_link_that_joins(
    graph: tuple[int, TreesConfig, list[int], list[tuple[int, int]]], joining: int, arrivals: int
) -> None:
    count, config, parents, extra = graph
    world = built(count, config, parents, extra)
    here = joining % count
    world.do(here, world.trees[here].broadcast(b"i" * 16, NAMES[here], b"p", 0))
    for _ in range(arrivals):
        world.arrive(0)
    world.trees.append(Trees(config, Rng(77)))
    world.count += 1
    world.link(count, here)
    world.settle()
    assert world.got[count] == [b"i" * 16]


noise = st.lists(
    st.one_of(
        st.builds(
            Gossip,
            st.integers(0, 400).map(lambda number: number.to_bytes(16, "big")),
            st.sampled_from(NAMES[:9]),
            st.integers(1, 255),
            st.integers(0, 2),
            st.binary(min_size=1, max_size=9),
        ),
        st.builds(IHave, st.binary(min_size=1, max_size=256).map(lambda entries: entries * 5)),
        st.builds(TreeGraft, st.none(), st.binary(max_size=64).map(lambda ids: ids * 4)),
        st.builds(TreeGraft, st.sampled_from(NAMES[:9]), st.just(b"")),
        st.builds(TreePrune, st.sampled_from([None, *NAMES[:9]])),
        st.integers(1, 2 * SECOND),
    ),
    max_size=150,
)


@SETTINGS
@given(noise, st.integers(1, 8))
def test_whatever_neighbors_send_the_state_is_bounded_and_every_answer_may_travel(
    said: list[TreeMessage | int], peers: int
) -> None:
    config = TreesConfig(generation_count_max=20, per_peer_max=30, own_max=3, ihave_ids_max=10)
    trees = Trees(config, Rng(1))
    now = 0
    for number in range(peers):
        trees.neighbor_up(NAMES[number], now)
    for turn, message in enumerate(said):
        if isinstance(message, int):
            now += message
            effects = trees.timer(TIMER, now)
        else:
            effects = trees.receive(NAMES[turn % peers], message, now)
        for effect in effects:
            if isinstance(effect, Push):
                assert decode_frame(encode_frame([effect.message])) == (effect.message,)
                assert (
                    not isinstance(effect.message, TreeGraft)
                    or len(effect.message.ids) <= 4 * limits.TREE_GRAFT_IDS_MAX
                )
        seen = trees.statistics()
        assert seen.seen <= 4 * config.generation_count_max
        assert seen.missing <= peers * config.per_peer_max
        assert seen.own_trees <= config.own_max
        assert seen.waiting <= peers * config.ihave_ids_max
