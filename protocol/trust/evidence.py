"""Who said what of whom: one word per issuer and subject, the latest.

Source: Beta reputation (Josang and Ismail 2002) with exponential forgetting. Deviation: a word counts by its age when
it is asked about, so nothing runs in the background and two hubs that hold the same words agree.
Invariants: at most ``issuer_max`` words of one issuer and ``words_max`` of all; what one issuer says displaces only its
own; the order in which words arrive does not matter as long as no bound is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.ids import AuthorId
from protocol.trust.values import STRENGTH_MAX, Attestation

LEAST: Final = 0.4
"""What the weakest word says, as a share of the strongest: a careful yes is still a yes."""


@dataclass(slots=True)  # hot, and ``void`` changes in place
class Word:
    """``opinion`` is in [-1, 1]; 0 where it was taken back. ``void``: under an amnesty, counts for nothing."""

    opinion: float
    utc_ms: int
    order: tuple[int, int]
    void: bool = False

    @property
    def counted(self) -> float:
        """The opinion as it counts now."""
        return 0.0 if self.void else self.opinion


def opinion_of(strength: int) -> float:
    """-100..100 as -1..1, with 0 for 0 and nothing between -0.4 and 0.4 otherwise."""
    if not strength:
        return 0.0
    size = LEAST + (1 - LEAST) * abs(strength) / STRENGTH_MAX
    return size if strength > 0 else -size


def decay(age_ms: int, half_life_ms: int) -> float:
    """The share of evidence that is left; what claims to come from the future is new."""
    return 1.0 if age_ms <= 0 else float(0.5 ** (age_ms / half_life_ms))


class Words:
    """``said[issuer][subject]`` and ``about[subject][issuer]`` are the same words; read them, change them only here."""

    def __init__(self, issuer_max: int, words_max: int) -> None:
        self._issuer_max = issuer_max
        self._words_max = words_max
        self._count = 0
        self.said: dict[AuthorId, dict[AuthorId, Word]] = {}
        self.about: dict[AuthorId, dict[AuthorId, Word]] = {}

    def __len__(self) -> int:
        return self._count

    def get(self, issuer: AuthorId, subject: AuthorId) -> Word | None:
        """The word, if there is one."""
        said = self.said.get(issuer)
        return None if said is None else said.get(subject)

    def is_news(self, given: Attestation) -> bool:
        """Whether it replaces what is held. Two words at one place of a forked chain: the less kind one counts."""
        held = self.get(given.issuer, given.subject)
        return held is None or (held.order, -held.opinion) < (given.order, -opinion_of(given.strength))

    def learn(self, given: Attestation, utc_ms: int, *, void: bool) -> None:
        """Hold this word, which is news. ``utc_ms`` is the date now: a word dated later, or not at all, is of now."""
        if self.get(given.issuer, given.subject) is None:
            self._count += 1
        word = Word(opinion_of(given.strength), min(given.utc_ms, utc_ms) or utc_ms, given.order, void)
        self.said.setdefault(given.issuer, {})[given.subject] = word
        self.about.setdefault(given.subject, {})[given.issuer] = word

    def surplus(self, issuer: AuthorId) -> AuthorId | None:
        """About whom the issuer's oldest word is, if it has said more than is kept of one."""
        said = self.said.get(issuer, {})
        if len(said) <= self._issuer_max:
            return None
        return min(said, key=lambda subject: (said[subject].order, subject))

    def at(self, issuer: AuthorId, order: tuple[int, int]) -> AuthorId | None:
        """About whom the word is that ``issuer`` said there, if that one is held."""
        said = self.said.get(issuer, {})
        return next((subject for subject, word in said.items() if word.order == order), None)

    def forget(self, issuer: AuthorId, subject: AuthorId) -> None:
        """Hold this word no more."""
        said = self.said[issuer]
        del said[subject]
        about = self.about[subject]
        del about[issuer]
        self._count -= 1
        if not said:
            del self.said[issuer]
        if not about:
            del self.about[subject]

    @property
    def full(self) -> bool:
        """Whether there is no room for another word."""
        return self._count >= self._words_max

    def make_room(self, keep: Callable[[AuthorId], bool]) -> list[tuple[AuthorId, AuthorId]]:
        """Forget whole issuers, those known longest first, unless ``keep``, until an eighth is free; says what went."""
        gone: list[tuple[AuthorId, AuthorId]] = []
        for issuer in [one for one in self.said if not keep(one)]:
            if self._count <= self._words_max * 7 // 8:
                break
            for subject in list(self.said[issuer]):
                self.forget(issuer, subject)
                gone.append((issuer, subject))
        return gone
