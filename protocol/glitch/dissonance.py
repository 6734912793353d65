"""Where what people feel, as told, does not hang together: an annotation beside the timeline, and nothing else.

A person's stream that *jumps* (further than its own sd allows between two vectors), is *frozen* (the same number again
and again from a live sensor), or *contradicts* its own quality (an sd that is small where quality says that it was
hardly measured); and the two halves of a crowd whose moods drift apart and come together again. Source: ours; robust
statistics reads an outlier in units of the sd that the measurement itself claims.
Why apart: no verdict about a hub, no amnesty and no standing may depend on what anybody feels (design decisions 21 and
22). Nothing imports this but the composition, which hands what it finds to views alone (tests/tidy/imports.py).
Invariants: bounded by ``AUTHORS_MAX`` streams and ``NOTES_MAX`` notes; kept in memory only, never signed or sent.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocol.clock import SECOND, Duration, Instant
from protocol.ids import AuthorId
from protocol.limits import AUTHORS_MAX

NOTES_MAX: Final = 256
JUMP_SDS: Final = 6.0
JUMP_MIN: Final = 0.5
"""Of a range of 2: a quarter of the whole range from one vector to the next, and six of its own sd."""
FROZEN_US: Final[Duration] = 20 * SECOND
SURE_SD: Final = 0.1
POOR_QUALITY: Final = 0.2
AGAIN_US: Final[Duration] = 60 * SECOND


class Note(Enum):
    """What does not hang together."""

    JUMPED = "jumped"
    FROZEN = "frozen"
    CONTRADICTS = "contradicts its own quality"


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was seen of ``author`` and when."""

    at: Instant
    author: AuthorId
    note: Note


@dataclass(frozen=True, slots=True)
class Drift:
    """How far apart the moods of two halves were: when they parted, at most, and now or when they were one again."""

    number: int
    at_parting: float | None
    most: float | None
    last: float | None


@dataclass(slots=True)  # state: changes in place
class _Stream:
    number: tuple[int, int]
    value: float
    same_since: Instant
    noted: dict[Note, Instant]


class Dissonance:
    """``hear`` each newest value about once a second; ``compare`` the halves while a glitch lasts and after it."""

    def __init__(self) -> None:
        self._streams: dict[AuthorId, _Stream] = {}
        self.notes: deque[Annotation] = deque(maxlen=NOTES_MAX)
        self.drifts: dict[int, Drift] = {}

    def hear(
        self,
        author: AuthorId,
        number: tuple[int, int],
        value: float | None,
        sd: float | None,
        quality: float,
        now: Instant,
    ) -> None:
        """The newest vector of somebody. ``number`` is its (boot, seq), ``value`` in -1..1 if known."""
        if value is None:
            self._streams.pop(author, None)
            return
        stream = self._streams.get(author)
        if stream is None:
            if len(self._streams) >= AUTHORS_MAX:
                del self._streams[next(iter(self._streams))]
            self._streams[author] = _Stream(number, value, now, {})
            return
        if number == stream.number:
            return
        in_turn = number == (stream.number[0], stream.number[1] + 1)
        if in_turn and abs(value - stream.value) > max(JUMP_MIN, JUMP_SDS * (sd or 0.0)):
            self._note(stream, author, Note.JUMPED, now)
        if value != stream.value:
            stream.same_since = now
        elif now - stream.same_since >= FROZEN_US:
            self._note(stream, author, Note.FROZEN, now)
        if sd is not None and sd < SURE_SD and quality < POOR_QUALITY:
            self._note(stream, author, Note.CONTRADICTS, now)
        stream.number, stream.value = number, value

    def _note(self, stream: _Stream, author: AuthorId, note: Note, now: Instant) -> None:
        if now - stream.noted.get(note, -(1 << 62)) >= AGAIN_US:
            stream.noted[note] = now
            self.notes.append(Annotation(now, author, note))

    def compare(self, number: int, mine: float | None, theirs: float | None) -> None:
        """The mean moods of the two halves of glitch ``number``, as far as they are known."""
        apart = None if mine is None or theirs is None else abs(mine - theirs)
        known = self.drifts.get(number)
        if known is None:
            self.drifts[number] = Drift(number, apart, apart, apart)
        elif apart is not None:
            parting = apart if known.at_parting is None else known.at_parting
            self.drifts[number] = Drift(number, parting, max(apart, known.most or 0.0), apart)
        while len(self.drifts) > NOTES_MAX:
            del self.drifts[next(iter(self.drifts))]
