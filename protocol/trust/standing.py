"""How somebody stands with a hub: a shrunk mean of what it, its contacts and others say, heaviest voices first.

Source: Beta reputation (Josang and Ismail 2002), voices discounted by who speaks, as in MeritRank (Nasrulin, Ishmaev,
Pouwelse 2022). Deviations, each so that many names gain nothing: through one contact speaks one voice, however many
hubs it vouches for; all strangers together are less than a third of a contact, and are not asked at all where this hub
has spoken itself; whom this hub distrusts is not heard, for or against. Read are words at most three steps away: the
subject (one), who spoke of it (two), and whether a contact of ours vouches for the speaker (three, from either end).
Invariants: |value| < 1 without a proof; somebody of whom nothing is known has 0; what is heard of strangers
never changes the standing of anybody of whom this hub has spoken.
"""

from __future__ import annotations

from collections.abc import Container

from protocol.ids import AuthorId
from protocol.trust.evidence import Words, decay
from protocol.trust.values import Line, Source, TrustConfig, TrustStanding


class _Tally:
    """Voices that are taken together: their mean, and their weight up to a ceiling."""

    __slots__ = ("total", "voices", "weight")

    def __init__(self) -> None:
        self.voices = 0
        self.weight = 0.0
        self.total = 0.0

    def add(self, opinion: float, weight: float) -> None:
        self.voices += 1
        self.weight += weight
        self.total += weight * opinion

    def line(self, source: Source, through: AuthorId | None, most: float) -> Line:
        return Line(source, through, self.voices, most * min(1.0, self.weight), self.total / self.weight)


def judge(
    words: Words,
    own: AuthorId,
    subject: AuthorId,
    utc_ms: int,
    config: TrustConfig,
    sessions: tuple[int, ...] = (),
    unheard: Container[AuthorId] = (),
) -> TrustStanding:
    """The standing of ``subject`` without a proof; ``sessions``: UTC ms of those shared; ``unheard`` do not count."""
    lines = [*_first_hand(words, own, subject, utc_ms, config, sessions)]
    spoken = bool(lines) and lines[0].source is Source.OWN_WORD
    lines += _hearsay(words, own, subject, utc_ms, config, unheard, strangers=not spoken)
    lines.sort(key=lambda line: (-line.weight * abs(line.opinion), line.source, line.through or b""))
    weight = sum(line.weight for line in lines)
    return TrustStanding(
        subject, sum(line.weight * line.opinion for line in lines) / (weight + config.doubt), tuple(lines)
    )


def _first_hand(
    words: Words, own: AuthorId, subject: AuthorId, utc_ms: int, config: TrustConfig, sessions: tuple[int, ...]
) -> list[Line]:
    lines = []
    mine, theirs = words.get(own, subject), words.get(subject, own)
    if mine is not None and mine.counted:
        weight = config.own_weight * decay(utc_ms - mine.utc_ms, config.half_life_ms)
        lines.append(Line(Source.OWN_WORD, None, 1, weight, mine.opinion))
    if sessions:
        weight = sum(config.session_weight * decay(utc_ms - at, config.half_life_ms) for at in sessions)
        lines.append(Line(Source.SESSIONS, None, len(sessions), min(weight, config.sessions_weight_max), 1.0))
    if theirs is not None and theirs.counted:
        weight = config.thanks_weight if theirs.opinion > 0 else config.grudge_weight
        lines.append(Line(Source.THEIR_WORD, None, 1, weight, theirs.opinion))
    return lines


def _hearsay(
    words: Words,
    own: AuthorId,
    subject: AuthorId,
    utc_ms: int,
    config: TrustConfig,
    unheard: Container[AuthorId],
    *,
    strangers: bool,
) -> list[Line]:
    """What others say, by how this hub knows them."""
    mine = words.said.get(own, {})
    contacts = {name: None for name, word in mine.items() if word.counted > 0 and name not in unheard}
    lines = []
    through: dict[AuthorId, _Tally] = {}
    rest = _Tally()
    for issuer, word in words.about.get(subject, {}).items():
        opinion = word.counted
        if not opinion or issuer in (own, subject) or issuer in unheard:
            continue
        weight = decay(utc_ms - word.utc_ms, config.half_life_ms)
        known = mine.get(issuer)
        if known is not None and known.counted:
            if known.counted > 0:
                lines.append(Line(Source.CONTACT, issuer, 1, weight * known.counted, opinion))
            continue
        via = _introduced(words, contacts, issuer)
        if via is not None:
            through.setdefault(via, _Tally()).add(opinion, weight)
        elif strangers:
            rest.add(opinion, weight)
    lines += [tally.line(Source.FURTHER, via, config.further_weight) for via, tally in through.items() if tally.weight]
    if rest.weight:
        lines.append(rest.line(Source.STRANGERS, None, config.strangers_weight))
    return lines


def distrusted(
    words: Words, own: AuthorId, subject: AuthorId, utc_ms: int, config: TrustConfig, unheard: Container[AuthorId] = ()
) -> bool:
    """Whether this hub, or if it has not spoken its contacts on the whole, speak against ``subject``."""
    mine = words.said.get(own, {})
    word = mine.get(subject)
    if word is not None and word.counted:
        return word.counted < 0
    total = 0.0
    for issuer, said in words.about.get(subject, {}).items():
        known = mine.get(issuer)
        if said.counted and known is not None and known.counted > 0 and issuer not in unheard:
            total += known.counted * said.counted * decay(utc_ms - said.utc_ms, config.half_life_ms)
    return total < 0


def _introduced(words: Words, contacts: dict[AuthorId, None], issuer: AuthorId) -> AuthorId | None:
    """The contact of ours that vouches for ``issuer``; of several always the same one."""
    about = words.about.get(issuer)
    if about is None:
        return None
    return min((name for name in contacts.keys() & about.keys() if about[name].counted > 0), default=None)
