"""Heartbeats, doubt and verdicts on each link (design decision 12, requirements R30 and R70 to R79).

Anything received is a sign of life; a BEAT is sent only where nothing else was for a second, and every tenth is a
PING so that the round trip is known. A neighbor that says nothing for half a beat longer is a *suspect*: the suspect is
told, and so are common neighbors, and up to three neighbors of the suspect's are asked to look. Their answers shorten
or end the suspicion (``suspicion.py``); silence ends it as *unreachable*, and the link is closed.
Source: SWIM (Das, Gupta, Motivala, DSN 2002), Lifeguard (Dadgar, Phillips, Currey, DSN-W 2018). Deviations: links are
watched by heartbeats and not by random probes, since only neighbors are watched; probes go through the suspect's
neighbors, since others cannot tell; nothing anybody says starts a suspicion or makes a verdict before ``silence_us``,
and nothing puts one off beyond ``patience_us``: hearsay only chooses between the two.
Invariants: verdicts are local, say "this link is silent" and never "this hub is dead", and never reach trust; own
lateness is not the peer's silence: a late tick credits every link with the delay, and stretches all patience.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol import limits
from protocol.clock import MINUTE, MS, SECOND, Duration, Instant
from protocol.effects import Disconnect, Drop, Effect, SetTimer
from protocol.errors import CloseCode, Reason
from protocol.ids import AuthorId, LinkId
from protocol.membership.errands import Errands
from protocol.membership.pulses import NEVER, Ask, Opinion, Pulse, State, opinion
from protocol.membership.suspicion import LocalHealth, Suspicion
from protocol.rng import Rng
from protocol.wire.messages import Beat, Message, Ping
from protocol.wire.probing import U32_MAX, Nack, PingReq, ProbeAck, ProbeMessage, Refute, Suspect

TIMER = ("liveness",)
Told = tuple[LinkId, Message]
_NOTHING: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessConfig:
    """All ``_us`` in microseconds. ``beat_us``: R30 says 1 s. ``silence_us``: R30 says 2.5 s; the shortest silence that
    is a verdict. ``together_us``: beats due within this time of each other leave together, so that an idle hub wakes
    once a second and not once per link. ``late_us``: a wake later than this was our own fault. ``hello_us``: a link
    whose HELLO has not come by then is closed. ``slept_us``: after such a gap between two inputs what lies in the links
    is old, and they are closed.

    ``suspect_us`` 1 beat and memberlist's probe time-out of 500 ms. ``patience_us``: the longest silence; 5 s is twice
    the shortest, and a link that carries nothing for so long is better made anew. ``probe_us``: memberlist's probe
    interval; a suspect is asked for again after it. ``answer_us``: a NACK leaves after 80 % of the probe time-out, as
    in memberlist. ``forward_us``: how long to wait for somebody else's NACK, less than ``probe_us``. ``voices``:
    Lifeguard's K. ``relays``: memberlist's indirect checks. ``voice_us``: how long another's suspicion counts (guess).
    ``refute_us``: REFUTEs on one link are so far apart. ``blame_us``: how often one link may lower our local health, so
    that one liar does not (guess). ``health_most``: Lifeguard's S. ``flap_us``: a hub that was unreachable by itself
    and came back within this time was slow and not gone; ``flap_most``: how far patience with it grows, twice as long
    for every second such return (guess; memberlist damps nothing)."""

    beat_us: Duration = SECOND
    silence_us: Duration = 2_500 * MS
    together_us: Duration = 250 * MS
    late_us: Duration = 500 * MS
    hello_us: Duration = 5 * SECOND
    ping_every_us: Duration = 10 * SECOND
    slept_us: Duration = 5 * SECOND
    suspect_us: Duration = 1_500 * MS
    patience_us: Duration = 5 * SECOND
    probe_us: Duration = SECOND
    answer_us: Duration = 400 * MS
    forward_us: Duration = 700 * MS
    voices: int = 3
    relays: int = 3
    voice_us: Duration = 5 * SECOND
    refute_us: Duration = 500 * MS
    blame_us: Duration = 10 * SECOND
    health_most: int = 8
    flap_us: Duration = MINUTE
    flap_most: int = 4


class Liveness:
    """The machine. What it wants said it returns as (link, message) beside the effects; ``slot`` names what a newer
    message of its kind may replace while a link is busy."""

    def __init__(self, config: LivenessConfig, author: AuthorId, rng: Rng) -> None:
        self._config = config
        self._author = author
        self._rng = rng
        self._pulses: dict[LinkId, Pulse] = {}
        self._links: dict[AuthorId, LinkId] = {}
        self._gone: dict[AuthorId, Opinion] = {}
        self._returns: dict[AuthorId, tuple[int, Instant]] = {}
        self._asks: dict[int, Ask] = {}
        self._errands = Errands(limits.PROBES_PER_SECOND)
        self._health = LocalHealth(config.health_most)
        self._judged_at: Instant = NEVER
        self._heard_at: Instant = NEVER
        self._credited: Duration = 0
        self._number = 0
        self._due: Instant | None = None

    # --- links --------------------------------------------------------------------------------------------------

    def link_up(self, link: LinkId, peer: AuthorId, now: Instant) -> list[Effect]:
        """Watch a link from now on."""
        pulse = self._pulses[link] = Pulse(peer, now, now, now, now + self._config.ping_every_us)
        pulse.slack = self._slack(peer, self._gone.pop(peer, None), now)
        self._links[peer] = link
        return self._arm(now)

    def _slack(self, peer: AuthorId, before: Opinion | None, now: Instant) -> int:
        """How many times our usual patience it gets: more if it has come back again and again."""
        flap_us = self._config.flap_us
        count, at = self._returns.pop(peer, (0, NEVER))
        if now - at > flap_us:
            count = 0
        if before is not None and before.why == "silent" and now - before.since <= flap_us:
            count, at = count + 1, now
        if count:
            self._returns[peer] = (count, at)
            if len(self._returns) > limits.KNOWN_PEERS_MAX:
                del self._returns[next(iter(self._returns))]
        return min(self._config.flap_most, 1 << min(count // 2, 8))

    def link_down(self, link: LinkId, code: int | None, now: Instant) -> None:
        """Stop watching; ``code`` is what BYE said, None if the link just ended."""
        pulse = self._pulses.pop(link, None)
        if pulse is None:
            return
        self._errands.link_down(link)
        for token in [token for token, ask in self._asks.items() if link in (ask.target, ask.relay)]:
            del self._asks[token]
        for other in self._pulses.values():
            other.voices.pop(link, None)
            other.listeners.pop(link, None)
            if other.suspicion is not None:
                other.suspicion.withdraw(link)
        if self._links.get(pulse.peer) == link:
            del self._links[pulse.peer]
            if code is None:
                self._remember(Opinion(pulse.peer, State.UNREACHABLE, now, "lost"))
            elif code == CloseCode.SHUTDOWN:
                self._remember(Opinion(pulse.peer, State.LEFT, now, "said so"))

    def opened(self, link: LinkId) -> None:
        """HELLO has come."""
        self._pulses[link].open = True

    def neighbors(self, link: LinkId, authors: Sequence[AuthorId]) -> None:
        """The peer says whom it is linked with; at most ``limits.NEIGHBORS_MAX``."""
        self._pulses[link].neighbors = dict.fromkeys(authors)

    def heard(self, link: LinkId, now: Instant) -> Sequence[Told]:
        """A frame came; returns what is to be said to those who asked."""
        pulse = self._pulses[link]
        pulse.heard_at = self._heard_at = now
        return self._ends_doubt(link, pulse) if pulse.alert else _NOTHING

    def sent(self, link: LinkId, now: Instant) -> None:
        """A frame was handed to the link."""
        pulse = self._pulses.get(link)
        if pulse is not None:
            pulse.sent_at = now

    def pong(self, link: LinkId, token: int, now: Instant) -> None:
        """The answer to our PING, if it carries our token."""
        pulse = self._pulses[link]
        if pulse.ping_at is not None and token == link & U32_MAX:
            pulse.rtt_us = now - pulse.ping_at
            pulse.ping_at = None

    def lagged(self, lag_us: Duration) -> None:
        """We were away for ``lag_us``: nobody was silent in that time."""
        self._credited += lag_us
        self._excuse(lag_us)

    def _excuse(self, lag_us: Duration) -> None:
        self._health.worse()
        for pulse in self._pulses.values():
            pulse.heard_at += lag_us
            pulse.round_at += lag_us

    # --- what outsiders see -------------------------------------------------------------------------------------

    def rtt_us(self, link: LinkId) -> Duration | None:
        """The last round trip measured."""
        pulse = self._pulses.get(link)
        return None if pulse is None else pulse.rtt_us

    def silent_us(self, link: LinkId, now: Instant) -> Duration:
        """How long nothing has come."""
        pulse = self._pulses.get(link)
        return 0 if pulse is None else max(0, now - pulse.heard_at)

    @property
    def health(self) -> int:
        """Lifeguard's local health score: 0 is well, 8 is the worst."""
        return self._health.score

    def opinions(self) -> tuple[Opinion, ...]:
        """Neighbors and those who were, these at most ``limits.KNOWN_PEERS_MAX``."""
        present = [opinion(self._pulses[link]) for link in self._links.values()]
        return (*present, *self._gone.values())

    def _remember(self, opinion: Opinion) -> None:
        known = self._gone.pop(opinion.author, None)
        if known is not None and known.state is not State.LEFT and opinion.why == "lost":
            opinion = known  # we had closed it ourselves, and know better why
        self._gone[opinion.author] = opinion
        if len(self._gone) > limits.KNOWN_PEERS_MAX:
            del self._gone[next(iter(self._gone))]

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self, now: Instant) -> tuple[list[Effect], list[Told]]:
        """Close what is silent, doubt what is late, beat where it is due, come back."""
        config = self._config
        late = self._judge_self(now)
        effects: list[Effect] = []
        told: list[Told] = []
        for link, pulse in self._pulses.items():
            pulse.heard_at = min(pulse.heard_at, now)
            if now >= self._ends_at(pulse):
                effects.append(Drop(link, Reason.LINK_SILENT))
                effects.append(Disconnect(link, CloseCode.TIMEOUT, Reason.LINK_SILENT))
                self._judge(link, pulse, now)
                continue
            if now - pulse.sent_at >= config.beat_us - config.together_us or now >= pulse.ping_due:
                pulse.sent_at = now
                told.append((link, self._beat(link, pulse, now)))
            if pulse.open:
                self._doubt(link, pulse, now, told)
        told.extend(self._errands.expired(now, late=late))
        self._due = None
        effects.extend(self._arm(now))
        return effects, told

    def _judge_self(self, now: Instant) -> bool:
        """Whether this wake is late; credits the others with what has not been credited yet."""
        late_us = 0 if self._due is None else now - self._due
        if late_us - self._credited > self._config.late_us:
            self._excuse(late_us - self._credited)
        late = late_us > self._config.late_us
        self._credited = 0
        if late:
            self._judged_at = now
        elif now - self._judged_at >= self._config.beat_us:
            self._health.better()
            self._judged_at = now
        return late

    def _judge(self, link: LinkId, pulse: Pulse, now: Instant) -> None:
        if pulse.suspicion is not None:
            self._end_round(link, pulse, pulse.suspicion)
        if self._links.get(pulse.peer) == link:
            stuck = now - pulse.vouched_at <= 2 * self._config.probe_us
            state, why = (State.SUSPECT, "stuck") if stuck else (State.UNREACHABLE, "silent")
            others = sum(self._is_silent(other, now) for other in self._pulses) - 1
            if not stuck and 2 * others >= len(self._pulses):
                why = "cut"
            self._remember(Opinion(pulse.peer, state, now, why))

    def _ends_at(self, pulse: Pulse) -> Instant:
        """When silence will have lasted too long."""
        config = self._config
        if not pulse.open:
            return min(pulse.heard_at + pulse.slack * config.silence_us, pulse.up_at + config.hello_us)
        most = self._health.stretch * config.patience_us
        if pulse.suspicion is not None:
            most = pulse.suspicion.patience_us(config.silence_us, config.patience_us, config.voices)
        return pulse.heard_at + pulse.slack * most

    def _beat(self, link: LinkId, pulse: Pulse, now: Instant) -> Message:
        if pulse.pinged and now < pulse.ping_due:
            return Beat()
        pulse.pinged = True
        pulse.ping_due = now + self._config.ping_every_us
        pulse.ping_at = now
        return Ping(link & U32_MAX)

    def _arm(self, now: Instant) -> list[Effect]:
        """Wake when the first thing is due, unless that is arranged already."""
        if not self._pulses:
            return []
        at = min(pulse.sent_at for pulse in self._pulses.values()) + self._config.beat_us
        for pulse in self._pulses.values():
            at = min(at, self._ends_at(pulse), self._looks_at(pulse, now))
        errand = self._errands.next_due()
        at = max(now + MS, at if errand is None else min(at, errand))
        if self._due is not None and self._due <= at:
            return []
        self._due = at
        return [SetTimer(TIMER, at)]

    def _looks_at(self, pulse: Pulse, now: Instant) -> Instant:
        """When to look at it again. Who was heard within a beat is looked at with the next beats, to wake less."""
        if pulse.suspicion is not None:
            return pulse.round_at + self._config.probe_us
        if not pulse.open or now - pulse.heard_at < self._config.beat_us:
            return now + self._config.beat_us
        return self._suspect_at(pulse)

    # --- doubt --------------------------------------------------------------------------------------------------

    def _suspect_at(self, pulse: Pulse) -> Instant:
        silence = self._health.stretch * self._config.suspect_us
        return max(pulse.heard_at + silence, pulse.vouched_at + self._config.probe_us)

    def _doubt(self, link: LinkId, pulse: Pulse, now: Instant, told: list[Told]) -> None:
        """Begin a suspicion, or ask again."""
        suspicion = pulse.suspicion
        if suspicion is None:
            if now >= self._suspect_at(pulse):
                self._suspect(link, pulse, now, told)
            return
        for relay in [relay for relay in suspicion.asked if self._is_silent(relay, now)]:
            suspicion.withdraw(relay)
        if now >= pulse.round_at + self._config.probe_us:
            self._end_round(link, pulse, suspicion)
            self._ask(link, pulse, suspicion, now, told)

    def _suspect(self, link: LinkId, pulse: Pulse, now: Instant, told: list[Told]) -> None:
        pulse.alert = True
        pulse.suspicion = Suspicion(now, pulse.number, self._health.stretch)
        for voice, at in pulse.voices.items():
            if now - at <= self._config.voice_us:
                pulse.suspicion.confirm(voice)
        told.append((link, Ping(link & U32_MAX)))
        told.append((link, Suspect(pulse.peer, pulse.number)))
        for other, neighbor in self._pulses.items():
            if other != link and neighbor.open and pulse.peer in neighbor.neighbors:
                told.append((other, Suspect(pulse.peer, pulse.number)))
        self._ask(link, pulse, pulse.suspicion, now, told)

    def _ask(self, link: LinkId, pulse: Pulse, suspicion: Suspicion, now: Instant, told: list[Told]) -> None:
        """Send PING_REQs to neighbors of the suspect's, then to neighbors of theirs; not to those silent themselves."""
        pulse.round_at = now
        near: list[LinkId] = []
        far: list[LinkId] = []
        for other, neighbor in self._pulses.items():
            if other == link or not neighbor.open or self._is_silent(other, now):
                continue
            if pulse.peer in neighbor.neighbors:
                near.append(other)
            elif any(a in pulse.neighbors for a in neighbor.neighbors if a != self._author):
                far.append(other)
        self._rng.shuffle(near)
        self._rng.shuffle(far)
        for hops, relay in [*((0, relay) for relay in near), *((1, relay) for relay in far)][: self._config.relays]:
            token = self._errands.next_token()
            self._asks[token] = Ask(link, relay, now)
            suspicion.ask(relay)
            told.append((relay, PingReq(token, pulse.peer, hops)))

    def _end_round(self, link: LinkId, pulse: Pulse, suspicion: Suspicion) -> None:
        """Whoever has not answered by now is not waited for; if nobody at all spoke meanwhile, it may be us."""
        missed = [token for token, ask in self._asks.items() if ask.target == link]
        for token in missed:
            suspicion.withdraw(self._asks.pop(token).relay)
        if missed and self._heard_at < pulse.round_at:
            self._health.worse()

    def _is_silent(self, link: LinkId, now: Instant) -> bool:
        pulse = self._pulses.get(link)
        return pulse is None or now - pulse.heard_at >= self._config.suspect_us

    def _ends_doubt(self, link: LinkId, pulse: Pulse) -> list[Told]:
        """The suspect has spoken."""
        pulse.alert = False
        pulse.suspicion = None
        pulse.voices.clear()
        return self._errands.heard(link)

    def _vouch(self, pulse: Pulse, now: Instant) -> None:
        """Somebody hears it: our link is silent, the hub is not."""
        if pulse.suspicion is not None:
            pulse.suspicion = None
            pulse.vouched_at = now

    # --- what neighbors say -------------------------------------------------------------------------------------

    def receive(self, link: LinkId, message: ProbeMessage, now: Instant) -> tuple[list[Effect], list[Told]]:
        """One of the messages of section 9."""
        told: list[Told] = []
        match message:
            case PingReq(token, target, hops):
                if self._errands.admits(link, now):
                    told = self._run(link, token, target, hops, now)
            case ProbeAck() | Nack():
                told = self._answer(link, message, now)
            case Suspect(author, number):
                told = self._refute(link, number, now) if author == self._author else self._hear(link, message, now)
            case Refute():
                told = self._believe(link, message, now)
        return self._arm(now), told

    def _run(self, asker: LinkId, token: int, target: AuthorId, hops: int, now: Instant) -> list[Told]:
        """Look for somebody else's suspect."""
        via = self._links.get(target)
        if target == self._author or via == asker:
            return [(asker, ProbeAck(token))]
        if via is not None and self._pulses[via].open:
            self._pulses[via].alert = True
            self._errands.add(asker, token, via, now + self._config.answer_us, tested=True)
            return [(via, Ping(via & U32_MAX))]
        able = [
            other
            for other, pulse in self._pulses.items()
            if other != asker and pulse.open and target in pulse.neighbors and not self._is_silent(other, now)
        ]
        if not hops or not able:
            return [(asker, Nack(token, False))]
        via = self._rng.choice(able)
        own = self._errands.add(asker, token, via, now + self._config.forward_us, tested=False)
        return [(via, PingReq(own, target, 0))]

    def _answer(self, link: LinkId, answer: ProbeAck | Nack, now: Instant) -> list[Told]:
        ask = self._asks.get(answer.token)
        if ask is None or ask.relay != link:
            return self._errands.answered(link, answer)
        del self._asks[answer.token]
        pulse = self._pulses[ask.target]
        if isinstance(answer, ProbeAck):
            self._vouch(pulse, now)
        elif pulse.suspicion is not None and answer.tested:
            pulse.suspicion.confirm(link)
        elif pulse.suspicion is not None:
            pulse.suspicion.withdraw(link)
        return []

    def _hear(self, link: LinkId, suspect: Suspect, now: Instant) -> list[Told]:
        """A neighbor suspects another neighbor of ours: remember it, and let the suspect know."""
        target = self._links.get(suspect.author)
        if target is None or target == link:
            return []
        pulse = self._pulses[target]
        pulse.voices[link] = now
        pulse.alert = True
        if pulse.suspicion is not None:
            pulse.suspicion.confirm(link)
            return []
        pulse.listeners[link] = None
        if not pulse.open or now - pulse.warned_at < self._config.refute_us:
            return []
        pulse.warned_at = now
        return [(target, suspect)]

    def _refute(self, link: LinkId, number: int, now: Instant) -> list[Told]:
        """We are suspected, and here."""
        pulse = self._pulses[link]
        if now - pulse.refuted_at < self._config.refute_us:
            return []
        pulse.refuted_at = now
        if number >= self._number:
            known = number if number - self._number <= limits.REFUTATION_STEP_MAX else self._number
            self._number = min(U32_MAX, known + 1)
        if now - pulse.blamed_at >= self._config.blame_us:
            pulse.blamed_at = now
            self._health.worse()
        return [(link, Refute(self._author, self._number))]

    def _believe(self, link: LinkId, refute: Refute, now: Instant) -> list[Told]:
        """Somebody says that it is here, or a neighbor says that it said so."""
        target = self._links.get(refute.author)
        if target is None:
            return []
        pulse = self._pulses[target]
        if target == link:
            pulse.number = max(pulse.number, refute.number)
            told: list[Told] = [(listener, refute) for listener in pulse.listeners]
            pulse.listeners.clear()
            return told
        known = pulse.suspicion
        if known is not None and known.number < refute.number <= known.number + limits.REFUTATION_STEP_MAX:
            pulse.number = refute.number
            self._vouch(pulse, now)
        return []
