"""What a hub saw of its own rehearsal: links lost, the longest silence, glitches noticed, how old the values became.

Everything is read from the Node's statistics and news, as any person could; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Final

from meshnode.faults import Plan, Split
from protocol import NodeStatistics
from protocol import Split as Torn
from protocol.clock import Instant
from protocol.effects import LinkNews
from protocol.ids import AuthorId

LOST_MAX: Final = 256


class Witness:
    """Looks again and again from ``began`` on; ``report`` says what there was."""

    def __init__(self, plan: Plan, before: NodeStatistics, counters: Mapping[str, int]) -> None:
        self._plan = plan
        self._before = before
        self._counters = dict(counters)
        self.began = before.at
        self._others = tuple(author for author in before.in_reach if author != before.author)
        self._links = {line.peer for line in before.links if line.open}
        self._least = len(before.in_reach)
        self._silence_us = 0
        self._ages: list[int] = []
        self._oldest = 0
        self._lost: list[dict[str, object]] = []
        self._torn: dict[int, Torn] = {}

    def news(self, news: LinkNews, now: Instant) -> None:
        """A link has come or gone."""
        if not news.up and len(self._lost) < LOST_MAX:
            after_s = round((now - self.began) / 1e6, 2)
            self._lost.append({"peer": news.peer.hex(), "after_s": after_s, "why": news.reason})

    def look(self, seen: NodeStatistics) -> None:
        """How it is now."""
        self._least = min(self._least, len(seen.in_reach))
        self._silence_us = max([self._silence_us, *(line.silent_us for line in seen.links)])
        ages = [line.age_us for line in seen.authors if line.author in self._others]
        if ages:
            self._ages.append(round(median(ages)))
            self._oldest = max(self._oldest, *ages)
        now = () if seen.glitch.now is None else (seen.glitch.now,)
        for torn in (*seen.glitch.past, *now):
            if torn.noticed >= self.began:
                self._torn[torn.number] = torn

    def is_whole(self, seen: NodeStatistics) -> bool:
        """Whether all is as before, but for those who have left with a word."""
        left = {line.peer for line in seen.opinions if line.state == "left"}
        here = {*seen.in_reach, *left}
        open_links = sum(line.open for line in seen.links)
        return (
            seen.glitch.now is None
            and all(author in here for author in self._others)
            and open_links >= len(self._links - left)
        )

    def report(self, counters: Mapping[str, int]) -> dict[str, object]:
        """What was seen; times count from the beginning of the rehearsal."""
        return {
            "in_reach": {"before": len(self._before.in_reach), "least": self._least},
            "links": {"before": len(self._links), "lost": list(self._lost)},
            "longest_silence_s": round(self._silence_us / 1e6, 2),
            "age_ms": {
                "median": round(median(self._ages) / 1e3) if self._ages else None,
                "most": round(self._oldest / 1e3) if self._ages else None,
            },
            "glitches": [self._noticed(torn) for torn in self._torn.values()],
            "dropped": {
                reason: count - self._counters.get(reason, 0)
                for reason, count in sorted(counters.items())
                if count > self._counters.get(reason, 0)
            },
        }

    def _noticed(self, torn: Torn) -> dict[str, object]:
        return {
            "kind": torn.kind.value,
            "noticed_after_s": round((torn.noticed - self.began) / 1e6, 2),
            "began_off_s": round((torn.began - self.began) / 1e6, 2),
            "mine": len(torn.mine),
            "theirs": len(torn.theirs),
            "sides_right": self._sides_right(torn.theirs),
            "confidence": round(torn.confidence, 3),
            "amnesty": torn.grounded,
        }

    def _sides_right(self, theirs: tuple[AuthorId, ...]) -> bool | None:
        """None: nobody was to be severed, so there is no truth to compare with."""
        if not isinstance(self._plan.fault, Split):
            return None
        return set(theirs) == set(self._others if self._plan.peers is None else self._plan.peers)
