"""How long doubt may last, and how far to doubt oneself: two counters that know nothing of links.

Source: Lifeguard (Dadgar, Phillips, Currey, DSN-W 2018), section IV: the local health multiplier and the suspicion
that confirmations shorten. Deviations: time-outs are spans of silence and not of suspicion, so that a late start does
not make a late verdict; a confirmer is the neighbor that told us, whoever it says it has it from, so that one liar is
one voice; where nobody is left who could still confirm, patience is the least, as memberlist has it for groups too
small to ask; the stretch by local health applies to suspicions as well, since nobody will correct our verdict.
Invariants: patience lies in [least, most] times the stretch and no confirmation lengthens it; a score is in [0, most].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from protocol.clock import Duration, Instant
from protocol.ids import LinkId


@dataclass(slots=True)  # state: changes in place
class LocalHealth:
    """0 is well; the higher, the more often we were late ourselves. ``most``: 8, as in the paper."""

    most: int = 8
    score: int = 0

    def worse(self) -> None:
        """We were late, or heard nobody, or had to say that we are here."""
        self.score = min(self.most, self.score + 1)

    def better(self) -> None:
        """A period passed in which all went well."""
        self.score = max(0, self.score - 1)

    @property
    def stretch(self) -> int:
        """What every patience is multiplied by."""
        return self.score + 1


@dataclass(slots=True)  # state: changes in place
class Suspicion:
    """A neighbor in doubt since ``since``, when its refutation number was ``number`` and our own stretch ``stretch``:
    that one stays, so that a score that rises later does not move the verdict away again and again.

    ``asked`` are the neighbors whose answer is awaited, ``confirmed`` those that could not reach it either."""

    since: Instant
    number: int
    stretch: int
    asked: dict[LinkId, None] = field(default_factory=dict)
    confirmed: dict[LinkId, None] = field(default_factory=dict)

    def ask(self, link: LinkId) -> None:
        """Wait for this neighbor's answer, unless it has confirmed."""
        if link not in self.confirmed:
            self.asked[link] = None

    def confirm(self, link: LinkId) -> None:
        """This neighbor hears nothing either; once is enough."""
        self.asked.pop(link, None)
        self.confirmed[link] = None

    def withdraw(self, link: LinkId) -> None:
        """This neighbor cannot tell, or is silent itself: it is not waited for."""
        self.asked.pop(link, None)

    def patience_us(self, least_us: Duration, most_us: Duration, voices: int) -> Duration:
        """How long a silence becomes a verdict, as things stand; ``voices`` confirmations are always enough."""
        confirmed = len(self.confirmed)
        return self.stretch * timeout_us(least_us, most_us, confirmed, min(voices, confirmed + len(self.asked)))


def timeout_us(least_us: Duration, most_us: Duration, confirmed: int, expected: int) -> Duration:
    """``most - (most - least) * log(confirmed + 1) / log(expected + 1)``, never below ``least``."""
    if confirmed >= expected:
        return least_us
    share = log(confirmed + 1) / log(expected + 1)
    return max(least_us, most_us - int((most_us - least_us) * share))
