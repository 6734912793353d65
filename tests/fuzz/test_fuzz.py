"""A bounded fuzz run from fixed seeds, and the promise that a failure can be repeated."""

from __future__ import annotations

import json

import pytest

from protocol.errors import DecodeError
from protocol.rng import Rng
from protocol.wire.messages import decode_frame, encode_frame
from tests.fuzz import flood
from tests.fuzz.__main__ import main
from tests.fuzz.mutate import corpus, mutate
from tests.fuzz.targets import TARGETS, Failed, round_of

ROUNDS = {
    "values": 8_000,
    "frames": 8_000,
    "records": 1_500,
    "key_states": 1_000,
    "streams": 400,
    "nodes": 150,
    "reconciling": 1_100,
}


@pytest.mark.parametrize("name", TARGETS)
def test_no_round_of_a_bounded_run_goes_wrong(name: str) -> None:
    for seed in range(ROUNDS[name]):
        round_of(name, seed)


def test_every_frame_of_the_corpus_is_good_and_most_mutations_are_not() -> None:
    for good in corpus():
        assert encode_frame(decode_frame(good)) == good
    rng = Rng(1)
    refused = 0
    for _ in range(500):
        try:
            decode_frame(mutate(rng.choice(corpus()), rng))
        except DecodeError:
            refused += 1
    assert 250 < refused < 500


def test_a_failure_names_the_command_that_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(rng: Rng) -> None:
        if rng.below(3) == 0:
            raise ValueError("found")

    monkeypatch.setitem(TARGETS, "values", (bad, 1))
    seed = next(seed for seed in range(100) if Rng(seed).below(3) == 0)
    with pytest.raises(Failed, match=f"--target values --rounds 1 --seed {seed}"):
        round_of("values", seed)
    assert main(["--target", "values", "--rounds", "1", "--seed", str(seed)]) == 1


def test_the_command_stops_after_its_rounds_and_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "50", "--seed", "3"]) == 0
    assert capsys.readouterr().out == (
        "good: 40 rounds of values, 10 rounds of frames, 0 rounds of records, 0 rounds of key_states, "
        "0 rounds of streams, 0 rounds of nodes, 0 rounds of reconciling\n"
    )


def test_a_short_flood_of_invented_authors_meets_its_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert flood.main(["--authors", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["met"]
