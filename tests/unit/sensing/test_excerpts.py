"""The recordings that come with the program: complete, unchanged, small, licensed."""

from __future__ import annotations

import gzip
import hashlib
import json

import pytest

from meshnode.sensing import excerpts
from meshnode.sensing.excerpts import FOLDER, Excerpt, list_beats, list_people
from meshnode.sensing.recordings import load_recording
from meshnode.sensing.samples import Channel
from protocol.errors import ConfigError

PEOPLE = list_people()


def test_twelve_people_come_with_the_program_and_each_has_a_task_inside_the_recording() -> None:
    assert len({person.name for person in PEOPLE}) == len(PEOPLE) == 12
    for person in PEOPLE:
        assert 300 < person.task_start_s < person.task_end_s < person.rest_end_s <= person.duration_s


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_each_recording_can_be_read_and_lasts_as_long_as_the_manifest_says(person: Excerpt) -> None:
    recording = load_recording(person.path)
    channels = {signal.channel for signal in recording.signals}
    assert channels == {Channel.EDA, Channel.TEMPERATURE, Channel.HEART_RATE, Channel.ACCELERATION}
    assert len(recording.intervals) > 300
    assert recording.duration_us == pytest.approx(person.duration_s * 1e6, abs=1)
    assert {signal.channel: signal.rate_mhz for signal in recording.signals} == {
        Channel.EDA: 4_000,
        Channel.TEMPERATURE: 4_000,
        Channel.HEART_RATE: 1_000,
        Channel.ACCELERATION: 32_000,
    }


def test_every_file_is_the_one_the_manifest_lists_and_nothing_else_lies_there() -> None:
    manifest = json.loads((FOLDER / "MANIFEST.json").read_text("utf-8"))
    listed = {source["licence_file"] for source in manifest["sources"]}
    for entry in manifest["beats"]:
        listed.add(entry["file"])
        assert hashlib.sha256((FOLDER / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    for person in manifest["people"]:
        for entry in person["files"]:
            path = FOLDER / person["folder"] / entry["name"]
            data = path.read_bytes()
            listed.add(path.relative_to(FOLDER).as_posix())
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
            heads = 1 if entry["name"].startswith("IBI") else 2
            assert gzip.decompress(data).count(b"\n") == entry["rows"] + heads
    assert {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/**/*") if path.is_file()} == listed
    assert sorted(path.stem for path in FOLDER.iterdir() if path.is_file()) == ["ATTRIBUTION", "MANIFEST"]


def test_all_of_it_is_below_two_megabytes_and_says_whose_it_is() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 2_000_000
    assert "Permission is hereby granted" in (FOLDER / "stress_predict/LICENSE").read_text("utf-8")
    assert "BSD 3-Clause License" in (FOLDER / "pyhrv/LICENSE").read_text("utf-8")


def test_the_beat_intervals_last_five_minutes() -> None:
    (beats,) = list_beats()
    recording = load_recording(beats.path)
    assert len(recording.intervals) == 337
    assert recording.duration_us == pytest.approx(300e6, rel=0.01)


def test_an_incomplete_installation_is_said_in_one_line(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "FOLDER", FOLDER / "nowhere")
    with pytest.raises(ConfigError, match=r"MANIFEST\.json"):
        list_people()
