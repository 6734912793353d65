"""Torn crowds: feeds the glitch machines with what the Node knows, writes down what this hub saw; part of the Node.

The detector judges once a second by presence, links and neighbors' views; amnesties follow from what it finds; when a
split is over this hub adds its observation to its own chain, unless enough others of its side have, and all
observations that are held make the timeline. Moods are compared beside it and shown, and nothing else reads them.
Invariants: nothing here touches what is stored, relayed or delivered; a hub writes at most ``daily_max`` observations a
day; an observation without a date is withdrawn by its author after 14 days or at its next start, whichever is first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from protocol.clock import MS, SECOND, Duration, Instant, hlc_utc_ms
from protocol.collective.aggregate import aggregate
from protocol.collective.presence import Presence, Roll
from protocol.crypto import digest
from protocol.durable import Durable
from protocol.effects import Drop, Effect, Emit, EventAccepted, GlitchNews, LedgerNews, PayloadErased, PayloadKept
from protocol.errors import CloseCode, ConfigError, DecodeError, Reason
from protocol.glitch.amnesty import Amnesty
from protocol.glitch.detector import Detector
from protocol.glitch.dissonance import Dissonance
from protocol.glitch.timeline import Record, Seen, Timeline
from protocol.glitch.values import (
    DAY_US,
    Closed,
    Ended,
    GlitchConfig,
    GlitchEffect,
    Gone,
    How,
    Kind,
    Lagged,
    Opened,
    Pardon,
    Split,
)
from protocol.gossip.vectors import Vectors
from protocol.ids import AuthorId, EventId
from protocol.inputs import WriteEvent
from protocol.limits import SALT_BYTES
from protocol.rng import Rng
from protocol.snapshot import contributions
from protocol.statistics import GlitchStatistics
from protocol.wire.contents import encode_withdrawal
from protocol.wire.events import FOR_MESH, GLITCH, GLITCH_S, WITHDRAWAL, EventRecord
from protocol.wire.observations import LISTED_MAX, Observation, decode_observation, encode_observation, tags
from protocol.wire.registry import AROUSAL

PAST_MAX: Final = 32
WAITING_MAX: Final = 8
"""Observations that wait to be written: a path that flaps all the time makes no more."""
COMPARED_US: Final = 30 * SECOND
"""So long after a heal moods are still compared: a breath or two after everybody is back."""
KEEP_US: Final = GLITCH_S * SECOND


@dataclass(frozen=True, slots=True)
class _Due:
    split: Split
    at: Instant
    boots: dict[AuthorId, int]


class Rifts:
    """:meth:`take_pardons` says what soft evidence is void, to whoever composes trust."""

    def __init__(
        self,
        author: AuthorId,
        config: GlitchConfig,
        vectors: Vectors,
        roll: Roll,
        durable: Durable,
        trusts: Callable[[AuthorId, Instant], bool],
        rng: Rng,
    ) -> None:
        self._author = author
        self._config = config
        self._vectors = vectors
        self._roll = roll
        self._durable = durable
        self._rng = rng
        self._detector = Detector(config, trusts)
        self._amnesty = Amnesty(config)
        self._timeline = Timeline(config.held_max)
        self._dissonance = Dissonance()
        self._signs: dict[AuthorId, Instant] = {}
        self._boots: dict[AuthorId, int] = {}
        self._pardoned: tuple[AuthorId, ...] = ()
        self._past: deque[Split] = deque(maxlen=PAST_MAX)
        self._due: list[_Due] = []
        self._written: deque[tuple[Instant, EventId | None]] = deque(maxlen=config.daily_max)
        self._ours: dict[EventId, Instant] = {}
        self._restored: list[EventRecord] = []
        self._requests = 0
        self._secret = b""
        self._compared_until: Instant = -(1 << 62)
        self._pardons: list[Pardon] = []
        self._observed: list[EventAccepted | PayloadKept | PayloadErased] = []
        durable.listeners.append(self._heard)

    def _heard(self, news: LedgerNews) -> None:
        if isinstance(news, EventAccepted | PayloadKept | PayloadErased) and news.event.kind == GLITCH:
            self._observed.append(news)

    # --- what happens -----------------------------------------------------------------------------------------------

    def start(self, secret: bytes) -> None:
        """The first call of a run, after the ledger's."""
        self._secret = secret
        held = self._durable.ledger.of_kind(GLITCH)
        self._restored = [event for event, _ in held if event.hlc]
        for event, payload in held:
            if event.author == self._author and not event.hlc and payload != "erased":
                self._ours[event.id] = -KEEP_US  # nobody knows how long ago that was

    def link_up(self, peer: AuthorId, now: Instant, *, initiator: bool) -> None:
        """A link was kept."""
        self._detector.link_up(peer, now, chosen=initiator)

    def link_down(
        self, peer: AuthorId, code: int | None, reason: Reason | None, silent_us: Duration, now: Instant
    ) -> None:
        """The last link with ``peer`` is gone, which had said nothing for ``silent_us``."""
        silent = reason is Reason.LINK_SILENT or code == CloseCode.TIMEOUT
        broken = code is None and reason is None
        word = Ended.WORD if code == CloseCode.SHUTDOWN else Ended.RELEASED
        ended = Ended.SILENT if silent else Ended.BROKEN if broken else word
        self._signs[peer] = now - silent_us
        self._detector.link_down(peer, ended, now)

    def announced(self, peer: AuthorId, view: tuple[AuthorId, ...], now: Instant) -> None:
        """A neighbor says who its neighbors are."""
        self._detector.announced(peer, view, now)

    def lagged(self, lag_us: Duration, now: Instant) -> None:
        """This hub did not run for a while."""
        self._hear(self._detector.lagged(lag_us, now), now, [])

    def moved(self, now: Instant) -> None:
        """This hub's addresses have changed."""
        self._detector.moved(now)

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self, presence: Presence, now: Instant) -> list[Effect]:
        """Once a second."""
        effects: list[Effect] = []
        out = [Gone(author, self._sign(author, last)) for author, last in presence.out]
        if self._signs:
            self._signs = {gone.author: self._signs[gone.author] for gone in out if gone.author in self._signs}
        self._hear(self._detector.look(presence.inside, out, now), now, effects)
        split = self._detector.open
        if split is not None and split.grounded and self._pardoned != split.theirs:
            self._pardoned = split.theirs
            self._pardons.extend(self._amnesty.begin(split.theirs, split.began, now))
        if now <= self._compared_until or split is not None:
            self._compare(split, now)
        self._learn(now, effects)
        self._write(now, effects)
        return effects

    def _sign(self, author: AuthorId, last: Instant) -> Instant:
        """When there was the last sign of somebody who is out of reach."""
        known = self._roll.known.get(author)
        signs = (self._signs.get(author), None if known is None else known.made_at)
        return max((sign for sign in signs if sign is not None), default=last)

    def _hear(self, told: list[GlitchEffect], now: Instant, effects: list[Effect]) -> None:
        for one in told:
            match one:
                case Opened(split):
                    shelf = self._vectors.shelf
                    held = ((author, shelf.get(author)) for author in split.theirs)
                    self._boots = {author: value.record.boot for author, value in held if value is not None}
                    effects.append(_news(split, over=False))
                case Closed(split):
                    self._close(split, now)
                    effects.append(_news(split, over=True))
                case Lagged(since, until, subjects):
                    self._pardons.extend(self._amnesty.settle(subjects, since, until, now))

    def _close(self, split: Split, now: Instant) -> None:
        assert split.ended is not None
        self._pardoned = ()
        self._pardons.extend(self._amnesty.end(split.ended, now))
        self._past.append(split)
        self._compared_until = now + COMPARED_US
        if split.how is not None and split.kind is Kind.SPLIT and len(self._due) < WAITING_MAX:
            dated = self._vectors.utc_offset_ms is not None
            low, high = self._config.write_after_us if dated else self._config.write_undated_us
            self._due.append(_Due(split, now + self._rng.between(low, high), self._boots))

    def take_pardons(self) -> list[Pardon]:
        """What has been forgiven since the last call."""
        pardons, self._pardons = self._pardons, []
        return pardons

    # --- what lasts -------------------------------------------------------------------------------------------------

    def _learn(self, now: Instant, effects: list[Effect]) -> None:
        """Take what the ledger has of others' observations and ours."""
        if self._restored and self._vectors.utc_offset_ms is not None:
            restored, self._restored = self._restored, []  # the ledger knows now what of it has expired
            for event in restored:
                self._take(event, now, effects)
        if self._observed:
            observed, self._observed = self._observed, []
            for news in observed:
                if isinstance(news, PayloadErased):
                    self._timeline.forget(news.event.id)
                else:
                    self._take(news.event, now, effects)
        self._timeline.forget_before(now - KEEP_US)

    def _take(self, event: EventRecord, now: Instant, effects: list[Effect]) -> None:
        content = self._durable.ledger.content_of(event.id)
        if content is None or event.audience != FOR_MESH:
            return
        try:
            seen = decode_observation(content)
        except DecodeError:
            return  # its author has signed something that is no observation: it hides nothing else
        if event.author == self._author and not event.hlc:
            self._ours[event.id] = now
        dated = 0 < seen.began_ms <= hlc_utc_ms(event.hlc)
        taken = Seen(event.id, event.author, seen if dated else replace(seen, began_ms=0))
        if self._timeline.add(taken, now) is not None:
            effects.append(Drop(None, Reason.AUTHOR_LIMIT, "observations"))

    def _write(self, now: Instant, effects: list[Effect]) -> None:
        due = [one for one in self._due if one.at <= now]
        if due:
            self._due = [one for one in self._due if one.at > now]
        for one in due:
            content = self._observation(one, now)
            if content is not None:
                self._written.append((now, None))
                effects += self._order(GLITCH, content, now)
        for event in [event for event, at in self._ours.items() if now - at >= KEEP_US]:
            del self._ours[event]
            effects += self._order(WITHDRAWAL, encode_withdrawal((event,)), now)

    def _order(self, kind: int, content: bytes, now: Instant) -> list[Effect]:
        """Our own requests have numbers below 0: those of the person's are above."""
        self._requests -= 1
        salt = digest(str(self._requests).encode(), size=SALT_BYTES, person=b"trio-glitch salt", key=self._secret)
        return self._durable.handle(WriteEvent(self._requests, kind, salt, content), now)

    def _observation(self, due: _Due, now: Instant) -> bytes | None:
        """What we saw, unless it was no split, enough others saw it as well, or we have said enough today."""
        split = due.split
        full = len(self._written) == self._config.daily_max and now - self._written[0][0] < DAY_US
        if full or split.ended is None or split.how is None or self._restarted(due):
            return None
        mine, theirs = tags(split.mine), tags(split.theirs)
        same, other = self._timeline.like(mine, theirs, split.ended)
        if len(same) >= self._config.voices:
            return None
        named = [seen.event for seen in (*same[:2], *other[:2])]
        offset = self._vectors.utc_offset_ms
        began = 0 if offset is None else max(0, split.began // MS + offset)
        try:
            return encode_observation(
                Observation(
                    began_ms=began,
                    lasted_ms=(split.ended - split.began) // MS,
                    doubt_ms=split.doubt_us // MS,
                    mine_count=_count(mine, split.mine),
                    theirs_count=_count(theirs, split.theirs),
                    mine=mine,
                    theirs=theirs,
                    how=split.how.value,
                    same=tuple(sorted(named)),
                )
            )
        except ConfigError:
            return None  # two authors whose ids begin alike stand on both sides

    def _restarted(self, due: _Due) -> bool:
        """Whether most of those who are back had been off: then nothing was torn."""
        shelf = self._vectors.shelf
        held = ((boot, shelf.get(author)) for author, boot in due.boots.items())
        back = [value.record.boot > boot for boot, value in held if value is not None]
        off = 2 * sum(back) > len(back)
        if off:
            self._past = deque(
                (replace(one, how=How.RESTARTED) if one is due.split else one for one in self._past), PAST_MAX
            )
        return off

    # --- what it felt like ------------------------------------------------------------------------------------------

    def _compare(self, split: Split | None, now: Instant) -> None:
        shelf = self._vectors.shelf
        for author in shelf.authors():
            held = shelf.get(author)
            if held is not None:
                record, block = held.record, held.record.block
                value = block.newest(AROUSAL) if AROUSAL in block.dims else None
                sd = None if value is None else block.sd(AROUSAL)
                self._dissonance.hear(author, (record.boot, record.seq), value, sd, block.quality / 255, now)
        halves = split if split is not None else self._past[-1] if self._past else None
        if halves is not None:
            means = [
                aggregate(contributions(shelf, frozenset(side), now)).mean for side in (halves.mine, halves.theirs)
            ]
            self._dissonance.compare(halves.number, *means)

    # --- what outsiders see -----------------------------------------------------------------------------------------

    def records(self) -> tuple[Record, ...]:
        """The timeline: all glitches of which an observation is held."""
        return self._timeline.records()

    def statistics(self, now: Instant) -> GlitchStatistics:
        """An immutable picture."""
        split = self._detector.open
        if split is not None and now - split.began >= self._config.shown_us:
            split = None
        return GlitchStatistics(
            split,
            tuple(self._past),
            len(self._timeline),
            self._amnesty.spent(now),
            tuple(self._dissonance.drifts.values()),
            tuple(self._dissonance.notes),
        )


def _news(split: Split, *, over: bool) -> Emit:
    return Emit(GlitchNews(split.number, over, split.kind is Kind.ALONE, len(split.mine), len(split.theirs)))


def _count(listed: tuple[bytes, ...], side: tuple[AuthorId, ...]) -> int:
    return len(listed) if len(listed) < LISTED_MAX else len(side)
