"""Whom this hub trusts: words of people, sessions shared and proofs in; standings, weights and reasons out.

Source: design decisions 21 to 23; Beta evidence (standing.py), stored walks (walks.py), flow over walks (gates.py).
Trust is one hub's own view and never leaves it. It gates attention, the share of bandwidth, weight in a mean and
seats of a quorum; never what is stored, relayed or delivered. Nothing that a hub measures of another (silence, delay,
loss, a broken frame, what is shared or refused, how anybody feels) has a way in: the methods below are all there are.
Invariants: only a proof gives -1; a word of others, or a session, dated inside an amnesty counts for nothing; whom
nothing is known of stands at 0; the same inputs in the same order give the same outputs, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from protocol.errors import Reason
from protocol.ids import AuthorId
from protocol.limits import CIRCLE_MAX
from protocol.rng import Rng
from protocol.trust import gates
from protocol.trust.evidence import Words
from protocol.trust.standing import distrusted, judge
from protocol.trust.values import (
    DAY_MS,
    Attention,
    Attestation,
    Explanation,
    KeepTrust,
    Line,
    Path,
    Refused,
    Source,
    StandingChanged,
    TrustConfig,
    TrustEffect,
    TrustStanding,
    TrustState,
    TrustStatistics,
)
from protocol.trust.walks import Walks

PATHS_SHOWN: Final = 3
GROWN_MAX: Final = 900.0
"""Half-lives after the first word (74 years of 30 days) up to which weights of walks grow, so that sums stay finite."""


class Trust:
    """Every ``utc_ms`` is the best date that the hub has; words dated later count as said now."""

    def __init__(self, own: AuthorId, config: TrustConfig, rng: Rng) -> None:
        self._own = own
        self._config = config
        self._words = Words(config.issuer_max, config.words_max)
        self._walks = Walks(own, config.walks, config.restart, config.steps_max, rng)
        self._base_ms = 0
        self._sessions: dict[AuthorId, tuple[int, ...]] = {}
        self._blocked: dict[AuthorId, None] = {}
        self._muted: dict[AuthorId, None] = {}
        self._proven: dict[AuthorId, None] = {}
        self._circle: dict[AuthorId, None] = {}
        self._unheard: dict[AuthorId, None] = {}
        self._amnesties: dict[AuthorId, dict[int, int]] = {}
        self._barred: dict[AuthorId, bool] = {}
        self._refused = 0

    # --- what comes in ----------------------------------------------------------------------------------------------

    def start(self, state: TrustState, attestations: Iterable[Attestation], utc_ms: int) -> None:
        """The first call of a run: what the disk has."""
        self._sessions = dict(state.sessions)
        self._blocked = dict.fromkeys(state.blocked)
        self._muted = dict.fromkeys(state.muted)
        self._proven = dict.fromkeys(state.proven)
        self._circle = dict.fromkeys(state.circle)
        self._unheard = self._blocked | self._proven
        for subject, since_ms, until_ms in state.amnesties:
            self._amnesties.setdefault(subject, {})[since_ms] = until_ms
        for attestation in attestations:
            self.learn(attestation, utc_ms)

    def learn(self, given: Attestation, utc_ms: int) -> list[TrustEffect]:
        """A word of this hub's person or of another, from a verified event."""
        if given.issuer == given.subject or not self._words.is_news(given):
            return []
        if self._words.full and self._words.get(given.issuer, given.subject) is None:
            self._make_room()
            if self._words.full and given.issuer != self._own:
                self._refused += 1
                return [Refused(given.issuer, Reason.AUTHOR_LIMIT)]
        self._base_ms = self._base_ms or utc_ms
        at_ms = min(given.utc_ms, utc_ms) or utc_ms
        void = given.issuer != self._own and self._pardoned(given.subject, at_ms)
        self._words.learn(given, utc_ms, void=void)
        self._draw_edge(given.issuer, given.subject)
        oldest = self._words.surplus(given.issuer)
        if oldest is not None:
            self._words.forget(given.issuer, oldest)
            self._draw_edge(given.issuer, oldest)
        return self._changed(given.subject)

    def forget(self, issuer: AuthorId, order: tuple[int, int]) -> list[TrustEffect]:
        """The issuer has erased the word that it said at this place of its chain."""
        subject = self._words.at(issuer, order)
        if subject is None:
            return []
        self._words.forget(issuer, subject)
        self._draw_edge(issuer, subject)
        return self._changed(subject)

    def session_shared(self, subject: AuthorId, utc_ms: int) -> list[TrustEffect]:
        """A session in which both took part has ended; one a day counts."""
        before = self._sessions.get(subject, ())
        full = subject not in self._sessions and len(self._sessions) >= self._config.subjects_max
        if full or subject == self._own or self._pardoned(subject, utc_ms):
            return []
        if any(at // DAY_MS == utc_ms // DAY_MS for at in before):
            return []
        self._sessions[subject] = (*before, utc_ms)[-self._config.sessions_max :]
        return self._kept(subject)

    def prove(self, subject: AuthorId) -> list[TrustEffect]:
        """There is a cryptographic proof of malice: a fork, or a breach of consent."""
        return self._mark(self._proven, subject, on=True)

    def settle(self, subject: AuthorId) -> list[TrustEffect]:
        """What was proven is settled: the fork was an accident and is merged, or the key was rotated."""
        return self._mark(self._proven, subject, on=False)

    def block(self, subject: AuthorId, *, on: bool) -> list[TrustEffect]:
        """This hub's person wants nothing to do with ``subject``, or again."""
        return self._mark(self._blocked, subject, on=on)

    def mute(self, subject: AuthorId, *, on: bool) -> list[TrustEffect]:
        """Do not show ``subject``, or again; nothing else changes."""
        return self._mark(self._muted, subject, on=on)

    def share(self, subject: AuthorId, *, on: bool) -> list[TrustEffect]:
        """``subject`` may read what this hub's person says of others from now on, or no longer."""
        if on and len(self._circle) >= CIRCLE_MAX:
            return []
        return self._mark(self._circle, subject, on=on)

    def pardon(self, subject: AuthorId, since_ms: int, until_ms: int) -> list[TrustEffect]:
        """A glitch: what others said of ``subject`` in this time, and sessions, count for nothing, for or against.
        While it lasts ``until_ms`` may lie ahead; a second call with the same ``since_ms`` corrects it."""
        if subject not in self._amnesties and len(self._amnesties) >= self._config.subjects_max:
            return []
        windows = self._amnesties.setdefault(subject, {})
        windows[since_ms] = until_ms
        while len(windows) > self._config.windows_max:
            del windows[min(windows)]
        for issuer, word in self._words.about.get(subject, {}).items():
            word.void = issuer != self._own and self._pardoned(subject, word.utc_ms)
            self._draw_edge(issuer, subject)
        kept = tuple(at for at in self._sessions.pop(subject, ()) if not self._pardoned(subject, at))
        if kept:
            self._sessions[subject] = kept
        return self._kept(subject)

    # --- what comes out ---------------------------------------------------------------------------------------------

    def standing(self, subject: AuthorId, utc_ms: int) -> TrustStanding:
        """How ``subject`` stands now, and what that is made of."""
        if subject in self._proven:
            return TrustStanding(subject, -1.0, (Line(Source.PROOF, None, 1, 1.0, -1.0),))
        sessions = self._sessions.get(subject, ())
        return judge(self._words, self._own, subject, utc_ms, self._config, sessions, self._unheard)

    def attention(self, subject: AuthorId, utc_ms: int) -> Attention:
        """How much of ``subject`` a view shows."""
        if subject in self._blocked or subject in self._muted:
            return Attention.HIDDEN
        value = self.standing(subject, utc_ms).value
        if value < self._config.low_below:
            return Attention.LOW
        return Attention.KNOWN if value > 0 and subject in self._met() else Attention.NEUTRAL

    def is_known(self, subject: AuthorId, utc_ms: int) -> bool:
        """Whether it stands above 0 and a walk comes by: strangers' praise alone brings nobody here."""
        return bool(self.contacts()) and subject in self._met() and self.standing(subject, utc_ms).value > 0

    def weights(self, present: Iterable[AuthorId], utc_ms: int) -> dict[AuthorId, float]:
        """What each contributor to a mean weighs, 0..1; a contact 1; who weighs nothing is left out."""
        if not self.contacts():
            return {}
        return gates.weights(self._drawn(), self._own, present, lambda hub: self._bars(hub, utc_ms))

    def seats(self, present: Iterable[AuthorId], utc_ms: int) -> list[AuthorId]:
        """Who of ``present`` may be counted for a quorum."""
        if not self.contacts():
            return []
        return gates.seats(self._drawn(), self._own, present, lambda hub: self._bars(hub, utc_ms))

    def bandwidth(self, present: Iterable[AuthorId], utc_ms: int) -> dict[AuthorId, float]:
        """Which share of bandwidth for live values each of ``present`` may have when there is too little."""
        share = self._config.strangers_share
        return gates.bandwidth(self._drawn(), self._own, present, lambda hub: self._bars(hub, utc_ms), share)

    def explain(self, subject: AuthorId, utc_ms: int) -> Explanation:
        """Why: everything that counts, and the ways on which walks come to ``subject``."""
        walks = self._drawn().walks
        numbers = self._met().get(subject, {})
        ways = Counter(tuple(walks[number][: walks[number].index(subject) + 1]) for number in numbers)
        common = sorted(ways.items(), key=lambda way: (-way[1], way[0]))[:PATHS_SHOWN]
        return Explanation(
            self.standing(subject, utc_ms),
            self.attention(subject, utc_ms),
            contact=self._is_contact(subject),
            blocked=subject in self._blocked,
            muted=subject in self._muted,
            proven=subject in self._proven,
            walks=len(walks),
            met=len(numbers),
            paths=tuple(Path(hubs, count) for hubs, count in common),
        )

    def contacts(self) -> list[AuthorId]:
        """For whom this hub's person vouches."""
        return list(self._walks.edges.get(self._own, {}))

    def circle(self) -> dict[AuthorId, bool]:
        """Who may read what this hub's person says of others, and who does now: only a contact, and no longer when it
        is blocked or proven malicious."""
        return {name: self._is_contact(name) and name not in self._unheard for name in self._circle}

    def is_proven(self, subject: AuthorId) -> bool:
        """Whether a proof stands against ``subject``."""
        return subject in self._proven

    def known(self) -> list[AuthorId]:
        """Everybody of whom anything is known here, in ascending order."""
        marked = self._unheard | self._muted | self._circle
        return sorted((self._words.about.keys() | self._sessions.keys() | marked.keys()) - {self._own})

    def state(self) -> TrustState:
        """What must be on the disk."""
        return TrustState(
            tuple(self._sessions.items()),
            tuple(self._blocked),
            tuple(self._muted),
            tuple(self._proven),
            tuple(
                (name, since, until) for name, windows in self._amnesties.items() for since, until in windows.items()
            ),
            tuple(self._circle),
        )

    def statistics(self) -> TrustStatistics:
        """Counts, for this hub alone."""
        met = len(self._met()) - 1 if self.contacts() else 0
        return TrustStatistics(len(self._words), len(self._words.said), len(self.contacts()), met, self._refused)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _drawn(self) -> Walks:
        if not self._walks.drawn:
            self._walks.draw()
        return self._walks

    def _met(self) -> dict[AuthorId, dict[int, None]]:
        return self._drawn().visits

    def _bars(self, hub: AuthorId, utc_ms: int) -> bool:
        """Whether walks stop at ``hub`` and it counts for nothing; all words fade alike, so only news changes it."""
        found = self._barred.get(hub)
        if found is None:
            spoken = distrusted(self._words, self._own, hub, utc_ms, self._config, self._unheard)
            found = self._barred[hub] = hub in self._unheard or spoken
        return found

    def _is_contact(self, subject: AuthorId) -> bool:
        word = self._words.get(self._own, subject)
        return word is not None and word.counted > 0

    def _draw_edge(self, issuer: AuthorId, subject: AuthorId) -> None:
        """Words decay alike, so an edge keeps the weight it had when the word was said, in units that grow since."""
        word = self._words.get(issuer, subject)
        weight = 0.0
        if word is not None and word.counted > 0:
            grown = (word.utc_ms - self._base_ms) / self._config.half_life_ms
            weight = word.counted * 2.0 ** min(grown, GROWN_MAX)
        self._walks.set_edge(issuer, subject, weight)

    def _pardoned(self, subject: AuthorId, utc_ms: int) -> bool:
        windows = self._amnesties.get(subject)
        return windows is not None and any(since <= utc_ms <= until for since, until in windows.items())

    def _make_room(self) -> None:
        met = self._met()
        for issuer, subject in self._words.make_room(lambda name: name == self._own or name in met):
            self._draw_edge(issuer, subject)

    def _mark(self, marked: dict[AuthorId, None], subject: AuthorId, *, on: bool) -> list[TrustEffect]:
        if (subject in marked) == on or subject == self._own:
            return []
        if on and len(marked) >= self._config.subjects_max:
            return []  # only proofs come in such numbers, and the ledger has them
        if on:
            marked[subject] = None
        else:
            del marked[subject]
        self._unheard = self._blocked | self._proven
        return self._kept(subject)

    def _kept(self, subject: AuthorId) -> list[TrustEffect]:
        return [KeepTrust(self.state()), *self._changed(subject)]

    def _changed(self, subject: AuthorId) -> list[TrustEffect]:
        self._barred.clear()
        return [StandingChanged(subject)]
