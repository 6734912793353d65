"""Random histories of overlays: joins, deaths, cuts, flaps and hostile neighbors; what must hold all the time, and what
once everything has come to rest."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.clock import MS, SECOND
from protocol.ids import AuthorId
from protocol.membership.overlay import PLAN, PROBE, SHUFFLE, Overlay
from protocol.membership.overlay_values import (
    Dial,
    ForwardJoin,
    NeighborDown,
    NeighborUp,
    OverlayConfig,
    OverlayMessage,
    Shuffle,
    ShuffleAnswer,
    hyparview_paper,
)
from protocol.rng import Rng
from protocol.wire.joining import Join, Neighbor, NeighborAnswer
from tests.unit.protocol.overlay_net import Net, name

CONFIGS = (
    OverlayConfig(),
    OverlayConfig(small_mesh=0),
    hyparview_paper(),
    OverlayConfig(small_mesh=4, active=2, active_max=3),
)
EFFECTS_MAX = 64
SETTINGS = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
peers = st.integers(0, 24).map(name)
some = st.lists(peers, max_size=40).map(tuple)
messages: st.SearchStrategy[OverlayMessage] = st.one_of(
    st.just(Join()),
    st.builds(ForwardJoin, peers, st.integers(0, 300)),
    st.builds(Neighbor, st.booleans()),
    st.builds(NeighborAnswer, st.booleans()),
    st.builds(Shuffle, peers, st.integers(-1, 300), some),
    st.builds(ShuffleAnswer, peers, some),
)
inputs = st.one_of(
    st.tuples(st.sampled_from(["join", "met", "up", "came", "lost", "left", "failed", "measured"]), peers),
    st.tuples(st.just("say"), peers, messages),
    st.tuples(st.just("announced"), peers, some),
    st.tuples(st.just("timer"), st.sampled_from([PLAN, PROBE, SHUFFLE])),
    st.tuples(st.just("changed")),
)


def act(view: Overlay, what: tuple[object, ...], now: int) -> list[object]:
    """One input, whatever it is."""
    match what:
        case ("say", bytes() as peer, message):
            return list(view.receive(AuthorId(peer), message, now))  # type: ignore[arg-type]
        case ("announced", bytes() as peer, tuple() as others):
            return list(view.announced(AuthorId(peer), others, now))
        case ("timer", tuple() as key):
            return list(view.timer(key, now))
        case ("changed",):
            return list(view.network_changed(now))
        case (str() as kind, bytes() as raw):
            peer = AuthorId(raw)
            known = {
                "join": lambda: view.join(peer, now),
                "met": lambda: view.met(peer, now),
                "up": lambda: view.link_up(peer, True, now),
                "came": lambda: view.link_up(peer, False, now),
                "lost": lambda: view.link_down(peer, False, now),
                "left": lambda: view.link_down(peer, True, now),
                "failed": lambda: view.dial_failed(peer, now),
                "measured": lambda: view.measured(peer, 1_000, now),
            }
            return list(known[kind]())
        case _:
            raise AssertionError(what)


@given(st.integers(0, 3), st.lists(st.tuples(inputs, st.integers(0, 3_000_000)), max_size=60), st.integers(0, 2**32))
@settings(SETTINGS, max_examples=150)
def test_whatever_anybody_says_the_views_stay_bounded_disjoint_and_without_oneself(
    index: int, history: list[tuple[tuple[object, ...], int]], seed: int
) -> None:
    config = CONFIGS[index]
    view = Overlay(name(0), config, Rng(seed))
    told: dict[AuthorId, None] = {}
    under_way: dict[AuthorId, None] = {}
    now = 1_000_000
    for what, wait in history:
        now += wait
        effects = act(view, what, now)
        if what[0] in ("up", "came", "failed"):
            under_way.pop(what[1], None)  # type: ignore[call-overload]
        assert len(effects) <= EFFECTS_MAX
        for effect in effects:
            match effect:
                case NeighborUp(peer):
                    assert peer not in told
                    told[peer] = None
                case NeighborDown(peer):
                    del told[peer]
                case Dial(peer):
                    assert peer not in under_way, "a second dial"
                    assert peer != view.author
                    under_way[peer] = None
                case _:
                    pass
        assert told.keys() == view.active.keys()
        assert len(view.active) <= max(config.active_max, config.small_mesh)
        assert len(view.passive) <= config.passive
        assert len(view.pool.reserve) <= config.reserve
        assert len(view.exiles) <= config.exiles
        assert len(under_way) <= config.dials_alone + 1
        everybody = [*view.active, *view.passive, *view.pool.reserve, *view.exiles]
        assert len(everybody) == len(set(everybody)), "a peer in two tables"
        assert view.author not in everybody


@given(st.integers(0, 2**32), st.integers(3, 30), st.lists(st.integers(0, 5), max_size=8), st.integers(0, 1))
@settings(SETTINGS, max_examples=25)
def test_after_any_weather_the_mesh_is_whole_and_everybody_agrees_who_is_whose_neighbor(
    seed: int, size: int, weather: list[int], index: int
) -> None:
    net, rng = Net(seed), Rng(seed + 1)
    net.crowd(size, CONFIGS[index])
    net.run(2 * SECOND)
    for what in weather:
        authors = list(net.peers)
        if what == 0 and len(authors) > 3:
            net.kill(rng.choice(authors))
        elif what == 1:
            net.silent = not net.silent
        elif what in (2, 3):
            net.cut({author: rng.below(2) for author in authors})
        elif what == 4:
            net.heal()
        net.run(rng.below(8 * SECOND) + 100 * MS)
    net.heal()
    net.run(70 * SECOND)
    assert net.components() == [len(net.peers)]
    assert net.one_sided() == []
    assert net.largest <= 16
    assert net.effects_max <= EFFECTS_MAX
