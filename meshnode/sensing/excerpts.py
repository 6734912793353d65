"""The real people whose recordings come with the program, for demonstrations and tests.

Source, licences, windows and checksums are in ``meshnode/data/excerpts``. Invariant: the manifest names every file,
and its order is the order of :func:`list_people`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import ConfigError

FOLDER: Final = Path(__file__).resolve().parent.parent / "data" / "excerpts"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One person's recording. Seconds count from its start; the task is what the person was asked to do (a Stroop
    test), not what they felt. Without a task both ends are 0."""

    name: str
    path: Path
    duration_s: float = 0.0
    task_start_s: float = 0.0
    task_end_s: float = 0.0
    rest_end_s: float = 0.0


def list_people() -> list[Excerpt]:
    """The wristband recordings, one per person.

    Raises:
        ConfigError: the installation is incomplete.
    """
    return [
        Excerpt(
            name=str(person["name"]),
            path=FOLDER / str(person["folder"]),
            duration_s=float(person["duration_s"]),
            task_start_s=float(person["task_start_s"]),
            task_end_s=float(person["task_end_s"]),
            rest_end_s=float(person["rest_end_s"]),
        )
        for person in _manifest("people")
    ]


def list_beats() -> list[Excerpt]:
    """The recordings that hold beat intervals only.

    Raises:
        ConfigError: the installation is incomplete.
    """
    return [Excerpt(name=str(entry["name"]), path=FOLDER / str(entry["file"])) for entry in _manifest("beats")]


def _manifest(key: str) -> list[dict[str, str | float]]:
    file = FOLDER / "MANIFEST.json"
    try:
        entries: list[dict[str, str | float]] = json.loads(file.read_text("utf-8"))[key]
    except (OSError, ValueError, KeyError) as fault:
        raise ConfigError(f"recordings that should come with the program are missing: {file} ({fault})") from None
    return entries
