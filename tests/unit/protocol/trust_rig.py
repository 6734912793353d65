"""A hub's trust and the words it is told, by small numbers; 0 is the hub itself."""

from __future__ import annotations

from protocol.ids import AuthorId
from protocol.rng import Rng
from protocol.trust.trust import Trust
from protocol.trust.values import DAY_MS, Attestation, TrustConfig, TrustEffect

NOW = 20_000 * DAY_MS
SMALL = TrustConfig(walks=200)


def hub(number: int) -> AuthorId:
    """One author's id."""
    return AuthorId(number.to_bytes(32, "big"))


def word(issuer: int, subject: int, strength: int = 100, turn: int = 1, utc_ms: int = NOW) -> Attestation:
    """What ``issuer`` says of ``subject``."""
    return Attestation(hub(issuer), hub(subject), strength, utc_ms, (1, turn))


class Told:
    """A Trust to which one can say things in a line."""

    def __init__(self, *words: Attestation, config: TrustConfig = SMALL, seed: int = 1) -> None:
        self.trust = Trust(hub(0), config, Rng(seed))
        for one in words:
            self.learn(one)

    def learn(self, given: Attestation) -> list[TrustEffect]:
        """A word, now."""
        return self.trust.learn(given, NOW)

    def value(self, subject: int, utc_ms: int = NOW) -> float:
        """How ``subject`` stands."""
        return self.trust.standing(hub(subject), utc_ms).value

    def weights(self, *present: int) -> dict[int, float]:
        """What those weigh who are here."""
        found = self.trust.weights([hub(number) for number in present], NOW)
        return {int.from_bytes(name, "big"): weight for name, weight in found.items()}

    def seats(self, *present: int) -> list[int]:
        """Who of those who are here has a seat."""
        return sorted(int.from_bytes(name, "big") for name in self.trust.seats(map(hub, present), NOW))
