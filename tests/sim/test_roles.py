"""Each role does what it says, and hurts nobody but in the way that it says."""

from __future__ import annotations

from protocol.clock import MINUTE, SECOND
from protocol.errors import Reason
from protocol.node import Node
from protocol.rng import Rng
from protocol.wire.events import SEALED, STORY
from sim.adversaries import (
    GlitchFarmer,
    Wrap,
    dropper,
    eclipse,
    flooder,
    forker,
    lie,
    on_off,
    replayer,
    say,
    sybils,
    time_traveller,
    understater,
    vouch_around,
    when,
    whitewash,
)
from sim.checkers import linked
from sim.discovery import Hints
from sim.host import Host
from sim.words import tell
from sim.world import World, WorldConfig

ALONE = WorldConfig(hints=Hints(enabled=False))
TOGETHER = WorldConfig(dated=1.0)


def node(host: Host) -> Node:
    """A running hub's Node."""
    assert host.node is not None
    return host.node


def chain(wrap: Wrap | None, *, config: WorldConfig = ALONE) -> tuple[World, Host, Host, Host]:
    """Ada and Ben hear each other by one hub alone."""
    world = World(3, config)
    ada, ben, relay = world.add("ada"), world.add("ben"), world.add("relay", wrap=wrap)
    world.run(0)
    for host in (ada, ben):
        world.discovery.introduce(host, relay)
    world.cut_one_way(ada, ben)
    world.cut_one_way(ben, ada)
    return world, ada, ben, relay


def crowd(count: int = 5, wrap: Wrap | None = None) -> tuple[World, list[Host]]:
    """Hubs that are all linked; the last is wrapped."""
    world = World(4, TOGETHER)
    hosts = [world.add() for _ in range(count - 1)]
    hosts.append(world.add("odd", wrap=wrap))
    world.run(SECOND)
    assert world.wait(lambda: linked(world, hosts), 10 * SECOND) is not None
    world.run(world.now + 2 * SECOND)
    return world, hosts


def heard(at: Host, of: Host, world: World) -> bool:
    """Whether a hub shows anything of another."""
    return any(line.author == of.author for line in world.statistics(at).authors)


def stories(host: Host) -> int:
    """How many a hub holds."""
    return len(node(host).of_kind(STORY))


def test_a_dropper_passes_on_nothing_but_its_own() -> None:
    for wrap, passes in ((None, True), (dropper(), False)):
        world, ada, ben, relay = chain(wrap)
        world.run(5 * SECOND)
        tell(world, ada, 60)
        tell(world, relay, 60)
        world.run(world.now + 5 * SECOND)
        assert heard(ben, ada, world) is passes
        assert heard(ben, relay, world)
        assert stories(relay) == 2
        assert stories(ben) == 1 + passes


def test_a_covert_one_is_honest_until_the_flash_and_an_on_off_one_by_turns() -> None:
    flash: list[bool] = []
    world, ada, ben, _ = chain(when(lambda: bool(flash), dropper()))
    world.run(5 * SECOND)
    assert heard(ben, ada, world)
    flash.append(True)
    world.run(world.now + 20 * SECOND)
    assert not heard(ben, ada, world)
    clock = [0]
    world, ada, ben, _ = chain(on_off(lambda: clock[0], 20 * SECOND, dropper()))
    shown = []
    for _ in range(4):
        clock[0] = world.now + 1
        world.run(world.now + 19 * SECOND)
        shown.append(heard(ben, ada, world))
        world.run(world.now + SECOND)
    assert shown == [True, False, True, False]


def test_an_understater_makes_what_it_passes_on_look_new() -> None:
    ages = {}
    for name, wrap in (("honest", None), ("hostile", understater())):
        world, ada, ben, relay = chain(wrap)
        world.run(8 * SECOND)
        world.cut([ada], [relay, ben])
        world.run(world.now + 5 * SECOND)
        world.reset(relay, ben)  # the link comes back, and with it the newest value that the relay holds
        world.run(world.now + 2 * SECOND)
        line = next(line for line in world.statistics(ben).authors if line.author == ada.author)
        ages[name] = line.age_us
    assert ages["hostile"] <= ages["honest"]


def test_a_flooder_asks_without_end_and_the_others_go_on() -> None:
    world, hosts = crowd(4, flooder())
    world.run(world.now + 5 * SECOND)
    asked = sum(world.statistics(host).received.get("WantEvents", 0) for host in hosts[:-1])
    assert asked > 500
    assert all(heard(one, other, world) for one in hosts[:-1] for other in hosts[:-1])


def test_what_a_replayer_says_again_changes_nothing() -> None:
    world, hosts = crowd(4, replayer())
    tell(world, hosts[0], 60)
    world.run(world.now + 5 * SECOND)
    dropped = sum(world.drops.get(reason, 0) for reason in (Reason.DUPLICATE, Reason.SUPERSEDED))
    assert dropped > 200
    assert [stories(host) for host in hosts] == [1] * 4


def test_a_forker_is_proven_by_everybody_honest_and_stands_at_the_bottom() -> None:
    world, hosts = crowd(5, forker())
    world.run(world.now + 10 * SECOND)
    odd = hosts[-1]
    for host in hosts[:-1]:
        assert world.statistics(host).durable.forks == 1
        assert node(host).standing(odd.author, host.clock(world.now)) == -1.0


def test_the_words_of_a_time_traveller_count_as_said_now_and_move_no_date() -> None:
    year = 365 * 86_400_000
    world, hosts = crowd(4, time_traveller(10 * year))
    say(world, hosts[-1], hosts[:1], 100)
    world.run(world.now + 5 * SECOND)
    value = node(hosts[0]).standing(hosts[-1].author, hosts[0].clock(world.now))
    assert 0.2 < value < 0.5
    assert world.drops[Reason.FROM_THE_FUTURE] > 0
    assert not heard(hosts[0], hosts[-1], world)


def test_liars_speak_against_the_honest_and_for_their_own_and_are_heard_by_those_alone() -> None:
    world, hosts = crowd(6)
    liars, honest = hosts[:2], hosts[2:]
    for liar in liars:
        lie(world, liar, honest, liars)
    world.run(world.now + 10 * SECOND)
    assert len(node(honest[0]).of_kind(SEALED)) == 10
    for host in honest:
        now = host.clock(world.now)
        assert all(node(host).standing(liar.author, now) < 0 for liar in liars)
        assert all(node(host).standing(other.author, now) == 0 for other in honest if other is not host)
    assert node(liars[0]).standing(liars[1].author, liars[0].clock(world.now)) > 0.8


def test_false_names_vouch_for_each_other_and_weigh_nothing_with_anybody_else() -> None:
    world, hosts = crowd(4)
    false = sybils(world, 4)
    world.run(world.now + SECOND)
    world.wait(lambda: linked(world, [*hosts, *false]), 30 * SECOND)
    vouch_around(world, false)
    say(world, hosts[0], hosts[1:3], 100)
    world.run(world.now + 10 * SECOND)
    assert world.statistics(false[0]).trust.contacts == 3
    seen = world.statistics(hosts[0])
    assert seen.trust.contacts == 2
    assert seen.trusted.n == 3  # itself and its two contacts: no false name has a seat
    assert seen.crowd.n == 4


def test_whoever_comes_back_under_another_name_is_a_newcomer_again() -> None:
    world, hosts = crowd(4)
    odd = hosts[-1]
    say(world, hosts[0], [odd], -100)
    world.run(world.now + 3 * SECOND)
    again = whitewash(world, odd)
    world.run(world.now + 10 * SECOND)
    now = hosts[0].clock(world.now)
    assert not odd.alive
    assert node(hosts[0]).standing(odd.author, now) < -0.8
    assert node(hosts[0]).standing(again.author, now) == 0.0


def test_an_eclipsed_hub_is_told_of_hostile_hubs_and_dialled_by_them() -> None:
    world = World(6, ALONE)
    victim, honest = world.add("victim"), [world.add() for _ in range(3)]
    hostile = sybils(world, 19)
    world.run(0)
    eclipse(world, victim, hostile, honest, 0.95, Rng(1))
    world.run(5 * SECOND)
    linked_with = {end.peer.host.name for end in victim.ends.values()}
    assert sum(name.startswith("sybil") for name in linked_with) >= 4
    assert sum(host.name in linked_with for host in honest) <= 1


def test_a_glitch_farmer_breaks_its_links_and_gains_no_standing() -> None:
    world, hosts = crowd(4)
    farmer = GlitchFarmer(world, hosts[-1], 10 * SECOND)
    world.run(world.now + MINUTE)
    assert farmer.broken >= 15
    for host in hosts[:-1]:
        assert node(host).standing(hosts[-1].author, host.clock(world.now)) == 0.0
