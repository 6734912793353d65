"""Trust between two running hubs: cards, codes, blocks, explanations, and what is left after a restart."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.daemon.rig import Crew, Member, crew_in, lab, until
from tests.daemon.test_control import a_pair, ask

pytestmark = pytest.mark.usefixtures("nothing_left")


async def value(at: Member, of: Member) -> float:
    """How one stands with the other."""
    answer = await ask(at, cmd="trust.why", author=of.author.hex())
    return float(answer["value"])


async def standing(at: Member, of: Member, low: float, high: float) -> None:
    """Wait until the value lies there."""
    with trio.fail_after(10):
        while not low <= await value(at, of) <= high:
            await trio.sleep(0.02)


async def vouched(crew: Crew) -> tuple[Member, Member]:
    """The first has vouched for the second, by its card."""
    one, other = await a_pair(crew)
    card = (await ask(other, cmd="trust.card"))["card"]
    said = await ask(one, cmd="trust.vouch", card=card)
    assert (said["author"], said["strength"]) == (other.author.hex(), 100)
    return one, other


async def test_a_card_makes_a_contact_and_its_hub_hears_of_it(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await vouched(crew)
        await standing(one, other, 0.8, 1)
        await standing(other, one, 0.2, 0.8)
        (line,) = (await ask(one, cmd="trust.list"))["people"]
        assert (line["author"], line["contact"], line["attention"]) == (other.author.hex(), True, "known")
        why = await ask(other, cmd="trust.why", author=one.author.hex()[:8])
        assert [line["source"] for line in why["lines"]] == ["their_word"]
        assert why["words"][0].startswith(f"standing of {one.author.hex()[:10]}: 0.3")
        await ask(one, cmd="trust.vouch", author=other.author.hex(), strength=0)
        await standing(one, other, 0, 0)
        await standing(other, one, 0, 0)


async def test_two_people_compare_a_code_and_vouch_for_each_other(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await a_pair(crew)
        answers: dict[str, dict[str, Any]] = {}

        async def do(name: str, at: Member, of: Member, **request: object) -> None:
            answers[name] = await ask(at, author=of.author.hex(), **request)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(do, "one", one, other, cmd="trust.meet"))
            with trio.fail_after(5):
                while not (await ask(other, cmd="trust.list"))["want_to_meet"]:
                    await trio.sleep(0.01)
            nursery.start_soon(partial(do, "other", other, one, cmd="trust.meet"))
        assert answers["one"]["code"] == answers["other"]["code"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(do, "one", one, other, cmd="trust.confirm", same=True))
            nursery.start_soon(partial(do, "other", other, one, cmd="trust.confirm", same=True))
        assert [answers[name]["vouched"] for name in ("one", "other")] == [True, True]
        await standing(one, other, 0.8, 1)
        await standing(other, one, 0.8, 1)


async def test_a_code_that_differs_makes_nobody_a_contact(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await a_pair(crew)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ask, one, cmd="trust.meet", author=other.author.hex()))
            nursery.start_soon(partial(ask, other, cmd="trust.meet", author=one.author.hex()))
        answer = await ask(one, cmd="trust.confirm", author=other.author.hex(), same=False)
        assert "not the same" in answer["error"]
        assert "not the same" in (await ask(other, cmd="trust.confirm", author=one.author.hex(), same=True))["error"]
        assert await value(one, other) == 0


async def test_contacts_and_blocks_are_there_after_a_restart(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await vouched(crew)
        await standing(one, other, 0.8, 1)
        blocked = await ask(one, cmd="trust.block", author=other.author.hex())
        assert (blocked["blocked"], blocked["attention"]) == (True, "hidden")
        kept = tmp_path / "one"
        await until(lambda: bool(list(kept.glob("trust-*"))))
        await crew.stop(one)
        again = await crew.start("one", lab(), peers__static=(other.at,))
        await standing(again, other, 0.8, 1)
        why = await ask(again, cmd="trust.why", author=other.author.hex())
        assert (why["contact"], why["blocked"]) == (True, True)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"cmd": "trust.vouch", "author": "0000"}, "vouching is done in person"),
        ({"cmd": "trust.vouch", "card": "nonsense"}, "a card is TRIO-MEET-1"),
        ({"cmd": "trust.vouch", "card": f"TRIO-MEET-1:{'0' * 32}:{'0' * 64}"}, "of another mesh"),
        ({"cmd": "trust.vouch", "strength": 101}, "'strength' is a whole number"),
        ({"cmd": "trust.why", "author": "ab"}, "at least 4 digits"),
        ({"cmd": "trust.why", "author": "abcdef01"}, "nothing is known of a hub"),
        ({"cmd": "trust.confirm", "author": None}, "at least 4 digits"),
        ({"cmd": "trust.dance"}, "unknown command"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_a_sentence(
    tmp_path: Path, request_: dict[str, object], error: str
) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        assert error in (await ask(one, **request_))["error"]
