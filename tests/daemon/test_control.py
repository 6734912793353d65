"""The control socket belongs to the hub's owner, answers every line, and tells a status of one shape."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import trio

from meshnode import view
from meshnode.control import CLIENTS_MAX, REQUEST_BYTES_MAX
from protocol.errors import StoreError
from tests.daemon.hostile import hostile
from tests.daemon.rig import Crew, Member, ask_control, crew_in, lab, only_fault, until

pytestmark = pytest.mark.usefixtures("nothing_left")

NUMBER = (int, float)
STATUS: dict[str, Any] = {
    "format": int,
    "pid": int,
    "author": str,
    "boot": int,
    "seq": int,
    "up_s": NUMBER,
    "mesh": {"id": str, "name": str, "admission": str, "readable_by": str},
    "listen": [[str, int]],
    "sharing": bool,
    "notices": [str],
    "lab": bool,
    "cut": bool,
    "rehearsal": (dict, type(None)),
    "crowd": {
        "in_reach": int,
        "out_of_reach": [{"author": str, "for_s": NUMBER}],
        "n": int,
        "left_out": int,
        "dimension": str,
        "mean": (*NUMBER, type(None)),
        "mean_se": (*NUMBER, type(None)),
        "spread": (*NUMBER, type(None)),
        "method": str,
        "reason": (str, type(None)),
    },
    "glitch": {
        "crowds": (list, type(None)),
        "alone": bool,
        "for_s": (*NUMBER, type(None)),
        "mine": [str],
        "theirs": [str],
        "back": int,
        "confidence": (*NUMBER, type(None)),
        "amnesty": bool,
        "so_far": int,
        "observations": int,
        "forgiven_today": [{"author": str, "windows": int, "s": NUMBER}],
    },
    "authors": [
        {
            "author": str,
            "own": bool,
            "linked": bool,
            "hops": (int, type(None)),
            "in_reach": bool,
            "boot": int,
            "seq": int,
            "age_ms": int,
            "lease_left_ms": int,
            "cadence_ms": int,
            "quality": NUMBER,
            "method": str,
            "values": dict,
        }
    ],
    "links": [
        {
            "peer": str,
            "dialled_by_us": bool,
            "state": str,
            "up_s": NUMBER,
            "silent_ms": int,
            "rtt_ms": (*NUMBER, type(None)),
            "agent": str,
            "waiting": int,
            "lazy": int,
            "neighbors": [str],
        }
    ],
    "exiles": [str],
    "known_peers": int,
    "coverage": {
        "whole": bool,
        "share": NUMBER,
        "sampled": int,
        "authors_estimate": int,
        "epoch": (int, type(None)),
    },
    "date_known": bool,
    "store": {"ok": bool, "why": str},
    "cpu_s": NUMBER,
    "counters": {"dropped": dict, "received": dict, "sent": dict, "verified": int, "handshakes_pending": int},
    "mdns": (dict, type(None)),
}
"""What ``meshnode status --json`` promises; other keys may be added, none of these may change."""


def misshapen(value: object, shape: Any, where: str = "status") -> list[str]:
    """Every place at which ``value`` has not the ``shape``."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        missing = [f"{where}.{key} is missing" for key in shape if key not in value]
        inside = [misshapen(value[key], part, f"{where}.{key}") for key, part in shape.items() if key in value]
        return missing + [fault for faults in inside for fault in faults]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        if len(shape) > 1:
            return [fault for pair in zip(value, shape, strict=True) for fault in misshapen(*pair, where)]
        return [fault for item in value for fault in misshapen(item, shape[0], f"{where}[]")]
    return [] if isinstance(value, shape) else [f"{where} is {value!r}"]


async def ask(member: Member, **request: object) -> dict[str, Any]:
    """One well-formed question."""
    answer: dict[str, Any] = json.loads(await ask_control(member.hub, json.dumps(request).encode() + b"\n"))
    return answer


async def a_pair(crew: Crew) -> tuple[Member, Member]:
    """Two linked hubs that show each other."""
    one = await crew.start("one", lab())
    other = await crew.start("other", lab(), peers__static=(one.at,))
    await until(lambda: one.linked(other) and one.shows(other.author) is not None and one.shows(one.author) is not None)
    return one, other


async def test_the_socket_is_the_owners_alone_and_goes_with_the_hub(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        place = tmp_path / "one" / "control.sock"
        status = place.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        await crew.stop(one)
        assert not place.exists()


async def test_the_status_has_the_promised_shape(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, other = await a_pair(crew)
        answer = await ask(one, cmd="status")
        assert misshapen(answer, STATUS) == []
        assert answer["author"] == one.author.hex()
        assert answer["mesh"] == {
            "id": one.hub.opened.mesh.mesh_id.hex(),
            "name": crew.mesh,
            "admission": "open",
            "readable_by": "everybody who knows the name of this mesh",
        }
        assert [line["peer"] for line in answer["links"]] == [other.author.hex()]
        assert {line["author"] for line in answer["authors"]} == {one.author.hex(), other.author.hex()}
        assert answer["crowd"]["in_reach"] == 2
        assert answer["crowd"]["mean"] is None  # two are too few for a crowd, and nobody has sensors
        assert answer["lab"] is True
        assert answer["cut"] is False


async def test_glitches_are_listed_and_named_by_the_beginning_of_their_ids(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, _ = await a_pair(crew)
        listed = await ask(one, cmd="glitch.list")
        assert (listed["now"]["crowds"], listed["glitches"], listed["here"]) == (None, [], [])
        assert "4 digits" in (await ask(one, cmd="glitch.show", glitch="abc"))["error"]
        assert "no glitch begins with 'abcd'" in (await ask(one, cmd="glitch.show", glitch="abcd"))["error"]
        assert "unknown command" in (await ask(one, cmd="glitch.farm"))["error"]


def test_a_wrong_shape_is_noticed() -> None:
    good: dict[str, Any] = {"a": 1, "b": [{"c": "x"}]}
    shape: dict[str, Any] = {"a": int, "b": [{"c": str}]}
    assert misshapen(good, shape) == []
    assert misshapen({"b": [{"c": 7}, {}]}, shape) == [
        "status.a is missing",
        "status.b[].c is 7",
        "status.b[].c is missing",
    ]


async def test_no_answer_holds_a_secret(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one, _ = await a_pair(crew)
        said = await ask_control(one.hub, b'{"cmd": "status"}\n') + await ask_control(
            one.hub, b'{"cmd": "lab.record"}\n'
        )
        keys = json.loads((tmp_path / "one" / "keys.json").read_text())
        for mesh in keys["meshes"]:
            assert mesh["seed"].encode() not in said
        assert one.hub.opened.mesh.psk.hex().encode() not in said


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"\n",
        b"\x00\xff\xfe\n",
        b"[]\n",
        b'"status"\n',
        b"{}\n",
        b'{"cmd": null}\n',
        b'{"cmd": ["status"]}\n',
        b'{"cmd": "reboot"}\n',
        b'{"cmd": "lab.cut"}\n',
        b'{"cmd": "lab.cut", "authors": [7], "ports": []}\n',
        b'{"cmd": "lab.cut", "authors": ["zz"], "ports": []}\n',
        b'{"cmd": "lab.nothing"}\n',
        b"[" * 60_000 + b"\n",
        b'{"cmd": ' + b"[" * 900 + b"]" * 900 + b"}\n",
        b'{"cmd": ' + b"9" * 5_000 + b"}\n",
    ],
)
async def test_garbage_is_answered_with_an_error_and_costs_nothing_else(tmp_path: Path, line: bytes) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one", lab())
        answer = json.loads(await ask_control(one.hub, line))
        assert list(answer) == ["error"]
        assert isinstance(answer["error"], str)
        assert len(answer["error"]) < 200
        assert (await ask(one, cmd="status"))["author"] == one.author.hex()


async def test_several_questions_may_share_a_connection_and_arrive_in_pieces(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        stream = await trio.open_unix_socket(str(tmp_path / "one" / "control.sock"))
        async with stream:
            for part in (b'{"cmd": "sta', b'tus"}\n{"cmd"', b': "nothing"}\nrubbish\n'):
                await stream.send_all(part)
                await trio.sleep(0.02)
            answers = b""
            while answers.count(b"\n") < 3:
                answers += await stream.receive_some(65_536)
        first, second, third = [json.loads(line) for line in answers.splitlines()]
        assert first["author"] == one.author.hex()
        assert set(second) == set(third) == {"error"}


async def test_who_says_nothing_keeps_nobody_waiting_until_all_places_are_taken(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        silent = [await trio.open_unix_socket(str(tmp_path / "one" / "control.sock")) for _ in range(CLIENTS_MAX - 1)]
        assert (await ask(one, cmd="status"))["author"] == one.author.hex()
        silent.append(await trio.open_unix_socket(str(tmp_path / "one" / "control.sock")))
        with trio.move_on_after(0.2) as patience:
            await ask(one, cmd="status")
        assert patience.cancelled_caught
        await silent.pop().aclose()
        with trio.fail_after(5):
            assert (await ask(one, cmd="status"))["author"] == one.author.hex()
        for stream in silent:
            await stream.aclose()


async def test_a_line_without_end_is_hung_up_on(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        stream = await trio.open_unix_socket(str(tmp_path / "one" / "control.sock"))
        async with stream:
            with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
                await stream.send_all(b"x" * (REQUEST_BYTES_MAX + (1 << 21)))
        assert (await ask(one, cmd="status"))["author"] == one.author.hex()


async def test_who_hangs_up_in_the_middle_does_no_harm(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        for line in (b"", b'{"cmd"', b'{"cmd": "status"}\n' * 200):
            stream = await trio.open_unix_socket(str(tmp_path / "one" / "control.sock"))
            await stream.send_all(line)
            await stream.aclose()
        assert (await ask(one, cmd="status"))["author"] == one.author.hex()


async def test_without_the_rehearsal_option_there_is_no_fault_port(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        for command in ("lab.cut", "lab.heal", "lab.record"):
            answer = await ask(one, cmd=command, authors=[], ports=[])
            assert answer == {"error": "this hub was not started with --lab"}


async def test_a_state_directory_that_is_too_deep_for_a_socket_is_refused_by_name(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        with pytest.raises(BaseExceptionGroup) as raised:
            await crew.start("x" * 100)
        fault = only_fault(raised.value)
        assert isinstance(fault, StoreError)
        assert "hub.state_dir" in str(fault)


async def test_counters_of_a_hostile_link_are_in_the_status(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        one = await crew.start("one")
        async with hostile(one.address, one.hub.opened.mesh) as foe:
            await foe.say_plain(b"\xc1")
            await until(foe.ended.is_set)
        answer = await ask(one, cmd="status")
        assert answer["counters"]["dropped"] == {"malformed": 1}
        assert view.status(one.hub)["counters"] == answer["counters"]
