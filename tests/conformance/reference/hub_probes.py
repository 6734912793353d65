"""What a hub does for its neighbors when one of them falls silent: section 9 of docs/protocol.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.conformance.reference.hub_frontiers import Frontiers
from tests.conformance.reference.hub_state import Link
from tests.conformance.reference.messages import Nack, Ping, PingReq, Probe, ProbeAck, Refute, Suspect
from tests.conformance.reference.mutations import Mutation

ANSWER_SECONDS: Final = 0.4
PASSED_SECONDS: Final = 0.7
STEP_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Errand:
    """A PING_REQ that waits: who asked, with which token, who was asked or pinged, and until when."""

    asker: int
    token: int
    via: int
    passed_on: bool
    due: float


class Probes(Frontiers):
    """Answers PING_REQ and SUSPECT. It suspects nobody itself: silence alone closes its links."""

    errands: dict[int, Errand]
    errand_count: int = 0
    refutations: int = 0

    def on_probe(self, link: Link, message: Probe, now: float) -> None:
        """One message of section 9."""
        match message:
            case PingReq():
                if Mutation.NO_PROBE_ANSWER not in self.mutations:
                    self._look(link, message, now)
            case ProbeAck(token) | Nack(token):
                self._pass_back(link, token, message)
            case Suspect(author, number):
                if author == self.identity.author:
                    self._refute(link, number)
                else:
                    self._warn(link, message)
            case Refute(author):
                if author == link.peer.author and Mutation.KEEPS_REFUTATION not in self.mutations:
                    self._say(list(link.listeners), message)
                    link.listeners.clear()

    def spoke(self, link: Link) -> None:
        """Something came on this link: whoever was asked to look has seen it."""
        for number, errand in list(self._errands().items()):
            if errand.via == link.number and not errand.passed_on:
                del self.errands[number]
                self._say([errand.asker], ProbeAck(errand.token))

    def nack_due(self, now: float) -> None:
        """Whoever did not answer in time is not vouched for."""
        for number, errand in list(self._errands().items()):
            if now >= errand.due:
                del self.errands[number]
                self._say([errand.asker], Nack(errand.token, not errand.passed_on))

    def _errands(self) -> dict[int, Errand]:
        if not hasattr(self, "errands"):
            self.errands = {}
        return self.errands

    def _say(self, numbers: list[int], message: Probe) -> None:
        for number in numbers:
            link = self.links.get(number)
            if link is not None and link.open:
                link.outbox.append(message)

    def _linked(self, author: bytes) -> Link | None:
        greeted = (each for each in self.links.values() if each.open and each.greeted)
        return next((each for each in greeted if each.peer.author == author), None)

    def _look(self, link: Link, request: PingReq, now: float) -> None:
        target = self._linked(request.target)
        if request.target in (self.identity.author, link.peer.author) or (
            target is not None and Mutation.VOUCHES_UNSEEN in self.mutations
        ):
            link.outbox.append(ProbeAck(request.token))
        elif target is not None:
            self._remember(Errand(link.number, request.token, target.number, False, now + ANSWER_SECONDS))
            target.outbox.append(Ping(self.errand_count))
        else:
            self._pass_on(link, request, now)

    def _remember(self, errand: Errand) -> None:
        self.errand_count += 1
        self._errands()[self.errand_count] = errand

    def _pass_on(self, link: Link, request: PingReq, now: float) -> None:
        able = [each for each in self.links.values() if request.target in each.neighbors and each is not link]
        if request.hops and able:
            self._remember(Errand(link.number, request.token, able[0].number, True, now + PASSED_SECONDS))
            able[0].outbox.append(PingReq(self.errand_count, request.target, 0))
            return
        link.outbox.append(Nack(request.token, Mutation.TESTED_BLINDLY in self.mutations))

    def _pass_back(self, link: Link, token: int, answer: ProbeAck | Nack) -> None:
        errand = self._errands().get(token)
        if errand is None or errand.via != link.number or not errand.passed_on:
            return
        del self.errands[token]
        back = ProbeAck(errand.token) if isinstance(answer, ProbeAck) else Nack(errand.token, answer.tested)
        self._say([errand.asker], back)

    def _refute(self, link: Link, number: int) -> None:
        if number >= self.refutations:
            near = number - self.refutations <= STEP_MAX or Mutation.BELIEVES_NUMBERS in self.mutations
            self.refutations = min(2**32 - 1, (number if near else self.refutations) + 1)
        if Mutation.NO_REFUTATION not in self.mutations:
            link.outbox.append(Refute(self.identity.author, self.refutations))

    def _warn(self, link: Link, suspect: Suspect) -> None:
        target = self._linked(suspect.author)
        if target is None or target is link or Mutation.KEEPS_SUSPICION in self.mutations:
            return
        target.listeners[link.number] = None
        target.outbox.append(suspect)
