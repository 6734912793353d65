"""The kit passes a hub that conforms, and catches each check that is missing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.conformance.__main__ import main
from tests.conformance.kit import NOT_TESTABLE, REQUIREMENTS, Result, run_checks
from tests.conformance.reference.hub import Hub
from tests.conformance.reference.mutations import NONE, Mutation, Mutations

MESH: Final = "a mesh to try the kit in"
PACE: Final = 100.0
"""The reference hub limits nothing."""
SECONDS: Final = 1.5
AT_ONCE: Final = 8
UNSEEN: Final = frozenset({"R8", "R9", *NOT_TESTABLE})
"""What cannot be seen of the reference hub, which announces nothing."""


def results_of(mutations: Mutations, only: str | None = None) -> list[Result]:
    """What the kit says of a reference hub."""
    with Hub("127.0.0.1", 0, MESH, mutations=mutations, publishes=only is None) as hub:
        return run_checks(*hub.address, MESH, only, SECONDS, PACE)


@pytest.fixture(scope="module")
def whole() -> list[Result]:
    """One full run against a hub that conforms."""
    return results_of(NONE)


@pytest.fixture(scope="module")
def broken(request: pytest.FixtureRequest) -> Iterator[dict[Mutation, Result]]:
    """For every mutation asked for in this run, what the kit says of the requirement that it breaks."""
    wanted = {
        item.callspec.params["mutation"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "mutation" in item.callspec.params
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pending = {
            mutation: pool.submit(results_of, frozenset({mutation}), mutation.requirement)
            for mutation in Mutation
            if mutation in wanted
        }
        yield {mutation: future.result()[0] for mutation, future in pending.items()}


@pytest.mark.slow
def test_a_hub_that_conforms_passes_whatever_can_be_tested(whole: list[Result]) -> None:
    assert [result for result in whole if result.outcome == "fail"] == []
    assert {result.requirement for result in whole if result.outcome == "not testable"} == UNSEEN
    assert [result.requirement for result in whole] == list(REQUIREMENTS)


@pytest.mark.slow
def test_each_result_says_what_was_seen(whole: list[Result]) -> None:
    assert all(result.seen and result.summary for result in whole)
    for requirement in ("R15", "R19"):  # the parts in which the hub has to dial us
        (result,) = (result for result in whole if result.requirement == requirement)
        assert "dial" in result.seen
        assert "did not dial" not in result.seen


@pytest.mark.slow
@pytest.mark.parametrize("mutation", Mutation, ids=lambda mutation: mutation.name.lower())
def test_a_hub_without_one_check_is_caught(mutation: Mutation, broken: dict[Mutation, Result]) -> None:
    result = broken[mutation]
    assert result.requirement == mutation.requirement
    assert result.outcome == "fail", f"a hub that {mutation.what} passes: {result.seen}"
    assert "the check itself broke" not in result.seen


def test_the_command_says_yes_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    with Hub("127.0.0.1", 0, MESH) as hub:
        status = main(["--target", f"127.0.0.1:{hub.address[1]}", "--mesh", MESH, "--only", "R29", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert told["met"] is True
    assert {bar["name"] for bar in told["bars"]} == {"requirements failed", "requirements passed", "duration"}
    assert [entry["requirement"] for entry in told["requirements"]] == ["R29"]


def test_the_command_says_no_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with Hub("127.0.0.1", 0, MESH, mutations=frozenset({Mutation.NO_PONG})) as hub:
        target = f"127.0.0.1:{hub.address[1]}"
        status = main(["--target", target, "--mesh", MESH, "--only", "R29", "--timeout", "0.3"])
    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert lines[0].startswith("R29  fail")
    assert lines[-1].startswith("0 pass, 1 fail, 0 not testable in ")


def test_a_hub_of_another_mesh_fails_and_says_why() -> None:
    with Hub("127.0.0.1", 0, "another mesh") as hub:
        (result,) = run_checks(*hub.address, MESH, "R29", 0.3, PACE)
    assert (result.outcome, result.seen) == ("fail", "no handshake: closed")


def test_a_run_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    (result,) = results_of(NONE, "R19")
    assert result.outcome == "pass"
    assert set(threading.enumerate()) == before


def test_a_target_where_nobody_listens_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert main(["--target", f"127.0.0.1:{port}", "--mesh", MESH]) == 2
    assert capsys.readouterr().err.startswith(f"nobody answers at 127.0.0.1:{port}")
