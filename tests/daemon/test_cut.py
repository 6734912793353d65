"""The rehearsal's cut behaves as a dead cable does: silence, no end of file, and everything back when it heals."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from protocol.errors import Reason
from tests.daemon.networks import Wire, tapped
from tests.daemon.rig import Member, crew_in, lab, never, until

pytestmark = pytest.mark.usefixtures("nothing_left")

NOTICE_S = 4.0
HEAL_S = 4.0


def cut(one: Member, other: Member, *wires: Wire) -> None:
    """Tell both ends, as a cable has two."""
    for here, there in ((one, other), (other, one)):
        assert here.hub.lab is not None
        here.hub.lab.cut([there.author], [there.address[1], *[wire.address[1] for wire in wires]])


def heal(*members: Member) -> None:
    """The path is back."""
    for member in members:
        assert member.hub.lab is not None
        member.hub.lab.heal()


def newest(here: Member, there: Member) -> int:
    """The number of the newest value that ``here`` shows of ``there``."""
    line = here.shows(there.author)
    return 0 if line is None else line.seq


async def both_fresh(one: Member, other: Member, seconds: float) -> float:
    """Until each shows a value that the other makes from now on."""
    marks = (one.hub.statistics().seq, other.hub.statistics().seq)
    return await until(lambda: newest(other, one) > marks[0] and newest(one, other) > marks[1], seconds)


async def test_a_short_cut_delays_and_costs_no_link(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", lab())
        other = await crew.start("other", lab(), peers__static=(one.at,))
        await until(lambda: one.linked(other) and newest(one, other) > 0 and newest(other, one) > 0)
        links = [member.hub.statistics().links[0].link for member in (one, other)]
        cut(one, other)
        await trio.sleep(0.3)  # what was on its way has arrived
        marks = (newest(one, other), newest(other, one))
        await never(lambda: (newest(one, other), newest(other, one)) != marks, 1.2)
        heal(one, other)
        await both_fresh(one, other, 1.5)
        assert [member.hub.statistics().links[0].link for member in (one, other)] == links
        assert one.dropped(Reason.LINK_SILENT) + other.dropped(Reason.LINK_SILENT) == 0


async def test_a_long_cut_is_noticed_by_both_and_shown_to_nobody_as_an_end(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", lab())
        async with tapped(one.address) as wire:
            other = await crew.start("other", lab(), peers__static=(f"127.0.0.1:{wire.address[1]}",))
            await until(lambda: one.linked(other) and newest(one, other) > 0 and newest(other, one) > 0)
            assert wire.connections == 1
            cut(one, other, wire)
            took = await until(lambda: not one.hub.statistics().links and not other.hub.statistics().links, NOTICE_S)
            assert took > 1.5  # no end of file told them: silence did
            for member in (one, other):
                (news,) = [entry for entry in member.hub.events.recent if not entry["up"]]
                assert news["reason"] == "link_silent"
                assert member.dropped(Reason.LINK_SILENT) == 1
            await never(lambda: wire.ended > 0 or wire.connections > 1, 1.5)
            assert one.hub.statistics().exiles == (other.author,)
            assert other.hub.statistics().in_reach == (other.author,)
            assert [author for author, _ in other.hub.statistics().out_of_reach] == [one.author]
            heal(one, other)
            took = await until(lambda: one.linked(other), HEAL_S)
            took += await both_fresh(one, other, HEAL_S)
            assert took < HEAL_S
            assert not one.hub.statistics().exiles
            assert not other.hub.statistics().out_of_reach


async def test_both_sides_of_a_cut_know_who_is_on_theirs(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        here = await crew.start("here", lab())
        near = await crew.start("near", lab(), peers__static=(here.at,))
        there = await crew.start("there", lab(), peers__static=(here.at, near.at))
        everybody = tuple(sorted(m.hub.opened.identity.author for m in (here, near, there)))
        await until(lambda: all(a.linked(b) for a, b in ((here, near), (here, there), (near, there))))
        for member in (here, near):
            assert member.hub.lab is not None
            member.hub.lab.cut([there.author], [there.address[1]])
        assert there.hub.lab is not None
        there.hub.lab.cut([here.author, near.author], [here.address[1], near.address[1]])
        side = tuple(sorted((here.author, near.author)))
        await until(lambda: all(m.hub.statistics().in_reach == side for m in (here, near)), NOTICE_S)
        await until(lambda: there.hub.statistics().in_reach == (there.author,), NOTICE_S)
        assert here.linked(near)
        heal(here, near, there)
        await until(lambda: all(m.hub.statistics().in_reach == everybody for m in (here, near, there)), HEAL_S)


async def test_a_hub_leaves_as_quickly_from_behind_a_cut(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", lab())
        other = await crew.start("other", lab(), peers__static=(one.at,))
        await until(lambda: one.linked(other))
        cut(one, other)
        begin = trio.current_time()
        await crew.stop(other)
        assert trio.current_time() - begin < 2.5


async def test_a_hub_that_comes_while_it_is_cut_off_is_met_when_the_path_is_there(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", lab())
        other = await crew.start("other", lab())
        cut(one, other)
        third = await crew.start("third", peers__static=(one.at, other.at))  # tells each of the other's address
        await until(lambda: third.linked(one) and third.linked(other))
        await never(lambda: bool(one.links_with(other.author)), 1.5)
        assert other.author in one.hub.statistics().in_reach  # by way of the third
        heal(one, other)
        await until(lambda: one.linked(other), HEAL_S)
