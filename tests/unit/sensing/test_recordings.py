"""Reading recordings: what is in them, and one clear line for everything that is wrong with one."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest

from meshnode.sensing.recordings import FILE_BYTES_MAX, LINE_BYTES_MAX, Recording, Signal, load_recording
from meshnode.sensing.samples import Channel
from protocol.errors import ConfigError

GOOD = {
    "EDA.csv": "1000.000000\n4.000000\n0.5\n0.6\n0.7\n0.8\n0.9\n1.0\n1.1\n1.2\n",
    "HR.csv": "1010.000000\n1.000000\n60.0\n61.5\n",
    "TEMP.csv": "1000.000000\n4.000000\n31.1\n31.2\n31.3\n31.4\n",
    "IBI.csv": "1000.000000, IBI\n1.500000,0.875000\n2.375000,0.875000\n",
    "ACC.csv": "1000.0, 1000.0, 1000.0\n32.0, 32.0, 32.0\n0,0,64\n-64,32,0\n",
    "BVP.csv": "1000.0\n64.0\n1.0\n-1.0\n",
}


def folder(tmp_path: Path, **changed: str | None) -> Path:
    """An E4 folder in which some files differ (``EDA="..."``) or are missing (``EDA=None``)."""
    for name, text in {**GOOD, **{f"{name}.csv": text for name, text in changed.items()}}.items():
        if text is not None:
            (tmp_path / name).write_text(text)
    return tmp_path


def refusal(path: Path) -> str:
    """What is said about a recording that cannot be used: one line."""
    with pytest.raises(ConfigError) as caught:
        load_recording(path)
    message = str(caught.value)
    assert message.startswith("recording ")
    assert "\n" not in message
    return message


def signal(recording: Recording, channel: Channel) -> Signal:
    (found,) = [signal for signal in recording.signals if signal.channel is channel]
    return found


def test_an_e4_folder_is_read_on_one_time_line_from_its_first_sensor(tmp_path: Path) -> None:
    recording = load_recording(folder(tmp_path))
    eda, rate = signal(recording, Channel.EDA), signal(recording, Channel.HEART_RATE)
    assert list(eda.values) == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    assert [eda.at(index) for index in range(3)] == [0, 250_000, 500_000]
    assert (rate.at(0), list(rate.values)) == (10_000_000, [60.0, 61.5])
    assert list(recording.intervals.ends_us) == [1_500_000, 2_375_000]
    assert list(recording.intervals.seconds) == [0.875, 0.875]
    assert (recording.name, recording.duration_us) == (tmp_path.name, 12_000_000)


def test_acceleration_is_in_g_on_three_axes(tmp_path: Path) -> None:
    acceleration = signal(load_recording(folder(tmp_path)), Channel.ACCELERATION)
    assert (acceleration.width, len(acceleration)) == (3, 2)
    assert list(acceleration.values) == [0.0, 0.0, 1.0, -1.0, 0.5, 0.0]
    assert acceleration.at(1) == 31_250


def test_the_raw_pulse_is_read_only_when_asked_for(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert Channel.PULSE not in {signal.channel for signal in load_recording(path).signals}
    assert list(signal(load_recording(path, pulse=True), Channel.PULSE).values) == [1.0, -1.0]


def test_gzipped_files_and_folders_without_the_optional_files_are_read_the_same(tmp_path: Path) -> None:
    plain = load_recording(folder(tmp_path, ACC=None, BVP=None))
    for name in ("EDA", "HR", "TEMP", "IBI"):
        text = (tmp_path / f"{name}.csv").read_bytes()
        (tmp_path / f"{name}.csv").unlink()
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(text))
    assert load_recording(tmp_path) == plain


def test_an_instant_is_found_by_its_first_sample_at_or_after_it(tmp_path: Path) -> None:
    eda = signal(load_recording(folder(tmp_path)), Channel.EDA)
    assert [eda.index_at(time) for time in (-5, 0, 1, 250_000, 250_001, 10**9)] == [0, 0, 1, 1, 2, 8]


def test_a_wristband_that_found_no_beat_leaves_an_empty_file(tmp_path: Path) -> None:
    assert len(load_recording(folder(tmp_path, IBI="")).intervals) == 0


def test_a_sensor_may_say_that_it_does_not_know(tmp_path: Path) -> None:
    eda = signal(load_recording(folder(tmp_path, EDA="1000\n4\n0.5\nnan\ninf\n")), Channel.EDA)
    assert [math.isfinite(value) for value in eda.values] == [True, False, False]


@pytest.mark.parametrize("name", ["EDA", "HR", "TEMP", "IBI"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    assert f"{name}.csv (or {name}.csv.gz) is missing" in refusal(folder(tmp_path, **{name: None}))


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nobody") == f"recording {tmp_path / 'nobody'}: no such file or folder"


@pytest.mark.parametrize(
    ("name", "text", "line", "what"),
    [
        ("EDA", "1000\n4\n0.5\nhello\n", 4, "expected one number, found 'hello'"),
        ("EDA", "1000\n4\n0.5\n0.5,0.6\n", 4, "expected one number"),
        ("EDA", "1000\n4\n0.5\n\n0.6\n", 4, "empty line inside the data"),
        ("EDA", "1000\n4\n0.5\n\x00\x01\n", 4, "expected one number"),
        ("EDA", "1000\n0\n0.5\n", 2, "a rate of 0 Hz"),
        ("EDA", "1000\n-4\n0.5\n", 2, "a rate of -4 Hz"),
        ("EDA", "1000\n1e9\n0.5\n", 2, "a rate of 1e+09 Hz"),
        ("EDA", "1000\nnan\n0.5\n", 2, "start and rate"),
        ("EDA", "inf\n4\n0.5\n", 1, "start and rate"),
        ("EDA", "start\n4\n0.5\n", 1, "found 'start'"),
        ("EDA", "1000\n4\n", 3, "holds no samples"),
        ("EDA", "1000\n", 2, "ends before start and rate"),
        ("EDA", "", 1, "ends before start and rate"),
        ("ACC", "1000,1000,1000\n32,32,32\n1,2\n", 3, "expected 3 numbers"),
        ("ACC", "1000,1000,1000\n32,32,32\n1,2\n1,2,3,4\n", 3, "expected 3 numbers"),
        ("ACC", "1000,1000,1000\n32,32,16\n1,2,3\n", 2, "the same for all axes"),
        ("ACC", "1000\n32\n1\n", 1, "expected 3 numbers"),
        ("IBI", "1000\n1.5,0.8\n", 1, 'expected "start, IBI"'),
        ("IBI", "nan, IBI\n1.5,0.8\n", 1, 'expected "start, IBI"'),
        ("IBI", "1000, IBI\n1.5\n", 2, "expected 2 numbers"),
        ("IBI", "1000, IBI\n1.5,0.8\n1.4,0.8\n", 3, "beat times must grow"),
        ("IBI", "1000, IBI\nnan,0.8\n", 2, "beat times must grow"),
        ("IBI", "1000, IBI\n-1,0.8\n", 2, "beat times must grow"),
    ],
)
def test_a_garbled_file_is_refused_by_file_and_line(tmp_path: Path, name: str, text: str, line: int, what: str) -> None:
    message = refusal(folder(tmp_path, **{name: text}))
    assert f"{name}.csv: line {line}: " in message
    assert what in message


@pytest.mark.parametrize(
    ("tail", "line", "what"),
    [
        ("hello\n", 30_001, "expected one number, found 'hello'"),
        ("0.5,0.6", 30_001, "expected one number, found '0.5,0.6'"),
        ("\n" * 99_999 + "0.6\n", 30_001, "empty line inside the data"),
    ],
)
def test_a_fault_far_inside_a_long_file_is_named_by_its_line(tmp_path: Path, tail: str, line: int, what: str) -> None:
    message = refusal(folder(tmp_path, EDA="1000\n4\n" + "0.512345\n" * 29_998 + tail))
    assert f"EDA.csv: line {line}: " in message
    assert what in message


def test_a_long_file_may_end_in_blank_lines_or_without_an_end_of_line(tmp_path: Path) -> None:
    for tail in ("\n" * 99_999, "0.6"):
        recording = load_recording(folder(tmp_path, EDA="1000\n4\n" + "0.512345\n" * 29_998 + tail))
        assert len(recording.signals[0]) == 29_998 + ("0.6" in tail)


def test_a_long_garbled_line_is_not_repeated_in_full(tmp_path: Path) -> None:
    assert len(refusal(folder(tmp_path, EDA="1000\n4\n" + "x" * 5000))) < len(str(tmp_path)) + 150


def test_a_truncated_or_false_gzip_file_is_refused_by_file_and_line(tmp_path: Path) -> None:
    path = folder(tmp_path, EDA=None)
    whole = gzip.compress(GOOD["EDA.csv"].encode())
    for broken in (whole[:-12], b"no gzip at all"):
        (path / "EDA.csv.gz").write_bytes(broken)
        assert "EDA.csv.gz: line " in refusal(path)


@pytest.mark.parametrize(
    ("line", "count"), [(b"1" * (LINE_BYTES_MAX + 1), 1), (b" " * 1_000_000 + b"1\n", FILE_BYTES_MAX // 1_000_000 + 1)]
)
def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, line: bytes, count: int) -> None:
    path = folder(tmp_path, EDA=None)
    with gzip.open(path / "EDA.csv.gz", "wb", compresslevel=1) as bomb:
        bomb.write(b"1000\n4\n")
        for _ in range(count):
            bomb.write(line)
    assert (path / "EDA.csv.gz").stat().st_size < 1_000_000
    assert f"line {count + 2}: too large for a recording" in refusal(path)


def test_files_that_start_hours_apart_are_not_one_recording(tmp_path: Path) -> None:
    assert "start more than 3600 s apart" in refusal(folder(tmp_path, HR="99999\n1\n60\n"))


def test_a_recording_of_less_than_a_second_is_refused(tmp_path: Path) -> None:
    short = folder(tmp_path, EDA="1000\n4\n0.5\n", HR="1000\n4\n60\n", TEMP="1000\n4\n31\n", IBI="", ACC=None)
    assert "lasts less than a second" in refusal(short)


@pytest.mark.parametrize("text", ["nni_ms\n800\n900\n1000\n", "800\n900\n1000\n", "800 900 1000", "800,900,1000\n"])
def test_beat_intervals_are_read_one_per_line_or_all_on_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "RR.txt"
    path.write_text(text)
    recording = load_recording(path)
    assert list(recording.intervals.seconds) == [0.8, 0.9, 1.0]
    assert list(recording.intervals.ends_us) == [800_000, 1_700_000, 2_700_000]
    assert (recording.name, recording.signals) == ("RR", ())


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("nni_ms\n800\nhello\n", 3, "expected ms, found 'hello'"),
        ("800 900 hello", 1, "expected ms, found 'hello'"),
        ("800\n-5\n", 2, "is no interval in ms"),
        ("800\nnan\n", 2, "is no interval in ms"),
        ("0.8\n0.9\n1.1\n", 1, "look like seconds"),
        ("nni_ms\n", 1, "holds no beat intervals"),
        ("", 1, "holds no beat intervals"),
    ],
)
def test_a_garbled_file_of_intervals_is_refused_by_file_and_line(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    path = tmp_path / "RR.txt"
    path.write_text(text)
    message = refusal(path)
    assert f"RR.txt: line {line}: " in message
    assert what in message
