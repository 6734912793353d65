"""Tells a torn crowd from people who leave: when it began, who is severed, and how sure that is.

Source: Rapid (Suresh et al., ATC 2018) cuts only where several observers agree on several subjects; Lifeguard (2018)
doubts itself first; Akka's split brain resolver waits until nothing changes any more ("stable after"). Deviations:
nobody is removed and nothing is agreed upon, each hub judges alone by what it has; observers are this hub's own links,
the views its neighbors tell, and the fixed cadence of vectors, of which several end in one moment when a path does.
A departure with a word (BYE), or of a process whose machine answers for it, is none; what cannot be told apart while it
lasts (many machines lose power together) is told apart when they are back, by their boot numbers (rifts.py).
Invariants: at most one glitch is open; own lateness opens none of two crowds; whoever is in ``mine`` is not in
``theirs``; tables are bounded by presence (``AUTHORS_MAX``) and by the links.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from protocol.clock import Duration, Instant
from protocol.glitch.values import Closed, Ended, GlitchConfig, GlitchEffect, Gone, How, Kind, Lagged, Opened, Split
from protocol.ids import AuthorId

NOTES_MAX: Final = 128
"""Broken links and shrunken views that are remembered: four of each link there can be."""
LATE_SHARE: Final = 8
"""One in so many severed may have gone later than the cut, on its own, without moving its beginning."""
_NEVER: Final = -(1 << 62)


@dataclass(slots=True)  # state: changes in place
class _Missing:
    sign_at: Instant
    found_at: Instant


@dataclass(frozen=True, slots=True)
class _Broken:
    peer: AuthorId
    at: Instant
    ended: Ended
    counts: bool


@dataclass(frozen=True, slots=True)
class _Shrunk:
    peer: AuthorId
    at: Instant
    lost: tuple[AuthorId, ...]


@dataclass(slots=True)  # state: changes in place
class _Link:
    chosen: bool
    up_at: Instant
    view: dict[AuthorId, None] = field(default_factory=dict)


class Detector:
    """``look`` is called about once a second; the rest is told as it happens. ``trusts`` says of whom a link counts
    however young it is."""

    def __init__(self, config: GlitchConfig, trusts: Callable[[AuthorId, Instant], bool]) -> None:
        self._config = config
        self._trusts = trusts
        self._links: dict[AuthorId, _Link] = {}
        self._parted: dict[AuthorId, Instant] = {}
        self._missing: dict[AuthorId, _Missing] = {}
        self._back: dict[AuthorId, Instant] = {}
        self._broken: deque[_Broken] = deque(maxlen=NOTES_MAX)
        self._shrunk: deque[_Shrunk] = deque(maxlen=NOTES_MAX)
        self._deaf_until: Instant = _NEVER
        self._looked_at: Instant | None = None
        self._moved_at: Instant = _NEVER
        self._first_link: bool | None = None
        self._count = 0
        self.open: Split | None = None

    # --- what happens -----------------------------------------------------------------------------------------------

    def link_up(self, peer: AuthorId, now: Instant, *, chosen: bool) -> None:
        """A link is there; ``chosen``: this hub has dialled it."""
        self._links[peer] = _Link(chosen, now)
        self._parted.pop(peer, None)
        if self.open is not None and peer in self.open.theirs and self._first_link is None:
            self._first_link = chosen

    def link_down(self, peer: AuthorId, ended: Ended, now: Instant) -> None:
        """It is gone."""
        link = self._links.pop(peer, None)
        if link is None:
            return
        if ended in (Ended.BROKEN, Ended.SILENT):
            self._broken.append(_Broken(peer, now, ended, self._counts(peer, link, now)))
        if ended in (Ended.WORD, Ended.BROKEN):
            self._parted[peer] = now

    def announced(self, peer: AuthorId, view: Sequence[AuthorId], now: Instant) -> None:
        """A neighbor says whom it is linked with."""
        link = self._links.get(peer)
        if link is not None:
            told = dict.fromkeys(view)
            lost = tuple(author for author in link.view if author not in told)
            if lost and self._counts(peer, link, now):
                self._shrunk.append(_Shrunk(peer, now, lost))
            link.view = told

    def lagged(self, lag_us: Duration, now: Instant) -> list[GlitchEffect]:
        """This hub itself did not run."""
        self._deaf_until = max(self._deaf_until, now + min(self._config.health_us, 3 * lag_us))
        if lag_us < self._config.lag_us:
            return []
        return [Lagged(now - lag_us, now, tuple(self._links))]

    def moved(self, now: Instant) -> None:
        """This hub's own addresses have changed."""
        self._moved_at = now

    # --- who is here ------------------------------------------------------------------------------------------------

    def look(self, inside: Sequence[AuthorId], out: Sequence[Gone], now: Instant) -> list[GlitchEffect]:
        """Who is within reach now (this hub always is) and who is not any more."""
        here = dict.fromkeys(inside)
        told = [] if self._looked_at is None else self._late(now - self._looked_at - self._config.look_us, now)
        self._looked_at = now
        before, self._missing = self._missing, {}
        self._remember_parted(here, out, now)
        for gone in out:
            if gone.author not in self._parted:
                known = before.get(gone.author)
                self._missing[gone.author] = _Missing(gone.sign_at, now if known is None else known.found_at)
        if self.open is not None:
            return told + self._follow(self.open, here, now)
        return told + self._seek(here, now) if self._missing else told

    def _remember_parted(self, here: dict[AuthorId, None], out: Sequence[Gone], now: Instant) -> None:
        """Those who are out of reach; and those whose last vectors are still fresh, but not who is heard after that."""
        parted, since = self._parted, now - self._config.window_us
        if parted:
            near = {author: at for author, at in parted.items() if author in here and at >= since}
            far = ((gone.author, parted.get(gone.author)) for gone in out)
            self._parted = near | {author: at for author, at in far if at is not None}

    def _late(self, late_us: Duration, now: Instant) -> list[GlitchEffect]:
        """Nobody has told us that we lagged, but we look later than we should."""
        known = now < self._deaf_until
        return [] if late_us < self._config.look_us or known else self.lagged(late_us, now)

    def _seek(self, here: dict[AuthorId, None], now: Instant) -> list[GlitchEffect]:
        config = self._config
        if now < self._deaf_until:
            return []  # everybody is unheard because we did not listen
        together = self._together(now)
        if not self._enough(len(together), len(here)):
            return []
        if now - max(self._missing[author].found_at for author in together) < config.settle_us:
            return []
        self._count += 1
        self._back = {}
        self._first_link = None
        kind = Kind.ALONE if len(here) == 1 else Kind.SPLIT
        began, doubt = self._beginning(together)
        split = Split(self._count, kind, began, doubt, now, tuple(here), tuple(together), 0.0, grounded=False)
        self.open = self._weighed(split)
        return [Opened(self.open)]

    def _together(self, now: Instant) -> list[AuthorId]:
        """The most who fell silent within one window, of several such the latest; in the order of their last signs."""
        config = self._config
        recent = sorted(
            (lost.sign_at, author) for author, lost in self._missing.items() if now - lost.sign_at <= config.recent_us
        )
        best: list[tuple[Instant, AuthorId]] = []
        first = 0
        for last, (sign_at, _) in enumerate(recent):
            while sign_at - recent[first][0] > config.window_us:
                first += 1
            if last - first + 1 >= len(best):
                best = recent[first : last + 1]
        return [author for _, author in best]

    def _enough(self, gone: int, here: int) -> bool:
        config = self._config
        crowd = gone + here
        if here == 1:
            return gone >= 1
        if crowd <= config.small_crowd:
            return gone >= 2 and 2 * gone >= crowd
        return gone >= config.severed_min and gone >= config.share_min * crowd

    def _beginning(self, theirs: Sequence[AuthorId]) -> tuple[Instant, Duration]:
        """The last sign of any of them but a few, and how wide signs lie apart for each of them."""
        signs = sorted(self._missing[author].sign_at for author in theirs if author in self._missing)
        last = signs[-1 - len(signs) // LATE_SHARE]
        return last, max(1, (last - signs[0]) // max(1, len(signs) - 1))

    # --- how sure ---------------------------------------------------------------------------------------------------

    def _counts(self, peer: AuthorId, link: _Link, now: Instant) -> bool:
        """Design decision 21: chosen by us, old, or of somebody whom we trust."""
        return link.chosen or now - link.up_at >= self._config.old_link_us or self._trusts(peer, now)

    def _weighed(self, split: Split) -> Split:
        """With its confidence, and whether it is evidence enough for an amnesty."""
        config = self._config
        theirs = dict.fromkeys(split.theirs)
        since, until = split.began - config.window_us, split.noticed + config.window_us
        near = [broken for broken in self._broken if since <= broken.at <= until]
        silent = {
            broken.peer: broken.counts for broken in near if broken.ended is Ended.SILENT and broken.peer in theirs
        }
        observers = {
            shrunk.peer
            for shrunk in self._shrunk
            if since <= shrunk.at <= until and sum(author in theirs for author in shrunk.lost) >= 2
        }
        counted = sum(silent.values())
        whole = ((peer, link) for peer, link in self._links.items() if peer not in theirs)
        left = sum(self._counts(peer, link, split.noticed) for peer, link in whole)
        grounded = (
            (counted >= config.links_min and counted >= left)
            or len(observers) >= config.observers_min
            or since <= self._moved_at <= until
        )
        signs = min(len(theirs), 6) / 2 + min(len(silent), 4) + min(len(observers), 3)
        return replace(split, confidence=1 - 0.5**signs, grounded=split.grounded or grounded)

    # --- while it lasts ---------------------------------------------------------------------------------------------

    def _follow(self, split: Split, here: dict[AuthorId, None], now: Instant) -> list[GlitchEffect]:
        config = self._config
        for author in [author for author in self._back if author not in here]:
            del self._back[author]
        for author in split.theirs:
            if author in here:
                self._back.setdefault(author, now)
        back = len(self._back)
        if back >= math.ceil(config.healed_share * len(split.theirs)):
            return self._close(replace(split, back=back, ended=min(self._back.values()), how=self._how(split)))
        stay = [author for author, since in self._back.items() if now - since >= config.stays_us]
        late = [author for author, lost in self._missing.items() if self._belongs(author, lost, split, now)]
        if stay or late:
            split = self._regrouped(split, stay, late, here)
            if not self._enough(len(split.theirs), len(split.mine)):
                return self._close(replace(split, ended=now))
        self.open = replace(split, back=len(self._back))
        return []

    def _belongs(self, author: AuthorId, lost: _Missing, split: Split, now: Instant) -> bool:
        """Whether somebody who was found missing later went with the others."""
        near = abs(lost.sign_at - split.began) <= self._config.window_us
        return near and author not in split.theirs and now - split.noticed <= self._config.recent_us

    def _regrouped(
        self, split: Split, stay: Sequence[AuthorId], late: Sequence[AuthorId], here: dict[AuthorId, None]
    ) -> Split:
        for author in stay:
            del self._back[author]
        theirs = tuple(author for author in (*split.theirs, *late) if author not in stay)
        gone = dict.fromkeys(theirs)
        mine = tuple(author for author in dict.fromkeys((*split.mine, *stay, *here)) if author not in gone)
        kind = Kind.ALONE if len(mine) == 1 else Kind.SPLIT
        split = replace(split, kind=kind, mine=mine, theirs=theirs)
        if late:
            began, doubt = self._beginning(theirs)
            split = self._weighed(replace(split, began=began, doubt_us=doubt))
        return split

    def _how(self, split: Split) -> How:
        if self._moved_at > split.noticed:
            return How.MOVED
        if self._first_link is None:
            return How.HEARD
        return How.WE_DIALLED if self._first_link else How.THEY_DIALLED

    def _close(self, split: Split) -> list[GlitchEffect]:
        self.open = None
        self._back = {}
        return [Closed(split)]
