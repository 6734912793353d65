"""Heartbeats and silence on each link (design decision 12, requirement R30).

Anything received is a sign of life; a BEAT is sent only where nothing else was for a second, and every tenth is a
PING so that the round trip is known. Verdicts are local and say "this link is silent", never "this hub is dead",
and never reach trust. Own lateness is not the peer's silence: a late tick credits every link with the delay
(Lifeguard's self-doubt, Dadgar et al. 2018, in its simplest form).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.clock import MS, SECOND, Duration, Instant
from protocol.effects import Disconnect, Drop, Effect, SetTimer
from protocol.errors import CloseCode, Reason
from protocol.ids import LinkId
from protocol.wire.messages import Beat, Message, Ping

TIMER = ("liveness",)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessConfig:
    """All in microseconds. ``beat_us``: R30 says 1 s. ``silence_us``: R30 says 2.5 s. ``together_us``: beats due
    within this time of each other leave together, so that an idle hub wakes once a second and not once per link.
    ``late_us``: a wake later than this was our own fault. ``hello_us``: a link whose HELLO has not come by then is
        closed. ``slept_us``: after such a gap between two inputs what lies in the links is old, and they are closed."""

    beat_us: Duration = SECOND
    silence_us: Duration = 2_500 * MS
    together_us: Duration = 250 * MS
    late_us: Duration = 500 * MS
    hello_us: Duration = 5 * SECOND
    ping_every_us: Duration = 10 * SECOND
    slept_us: Duration = 5 * SECOND


@dataclass(slots=True)  # state: changes in place
class _Pulse:
    up_at: Instant
    heard_at: Instant
    sent_at: Instant
    ping_due: Instant
    ping_at: Instant | None = None
    pinged: bool = False
    rtt_us: Duration | None = None
    open: bool = False


class Liveness:
    """The machine: ``tick`` returns effects and the heartbeats that are due."""

    def __init__(self, config: LivenessConfig) -> None:
        self._config = config
        self._pulses: dict[LinkId, _Pulse] = {}
        self._due: Instant | None = None

    def link_up(self, link: LinkId, now: Instant) -> list[Effect]:
        """Watch a link from now on."""
        self._pulses[link] = _Pulse(now, now, now, now + self._config.ping_every_us)
        return self._arm(now)

    def link_down(self, link: LinkId) -> None:
        """Stop watching."""
        self._pulses.pop(link, None)

    def opened(self, link: LinkId) -> None:
        """HELLO has come."""
        self._pulses[link].open = True

    def heard(self, link: LinkId, now: Instant) -> None:
        """A frame came."""
        self._pulses[link].heard_at = now

    def sent(self, link: LinkId, now: Instant) -> None:
        """A frame was handed to the link."""
        pulse = self._pulses.get(link)
        if pulse is not None:
            pulse.sent_at = now

    def pong(self, link: LinkId, token: int, now: Instant) -> None:
        """The answer to our PING, if it carries our token."""
        pulse = self._pulses[link]
        if pulse.ping_at is not None and token == link & 0xFFFFFFFF:
            pulse.rtt_us = now - pulse.ping_at
            pulse.ping_at = None

    def lagged(self, lag_us: Duration) -> None:
        """We were away for ``lag_us``: nobody was silent in that time."""
        for pulse in self._pulses.values():
            pulse.heard_at += lag_us

    def rtt_us(self, link: LinkId) -> Duration | None:
        """The last round trip measured."""
        pulse = self._pulses.get(link)
        return None if pulse is None else pulse.rtt_us

    def silent_us(self, link: LinkId, now: Instant) -> Duration:
        """How long nothing has come."""
        pulse = self._pulses.get(link)
        return 0 if pulse is None else max(0, now - pulse.heard_at)

    def tick(self, now: Instant) -> tuple[list[Effect], list[tuple[LinkId, Message]]]:
        """Close what is silent, beat where it is due, come back."""
        config = self._config
        if self._due is not None and now - self._due > config.late_us:
            self.lagged(now - self._due)
        effects: list[Effect] = []
        beats: list[tuple[LinkId, Message]] = []
        for link, pulse in self._pulses.items():
            if now >= self._ends_at(pulse):
                effects.append(Drop(link, Reason.LINK_SILENT))
                effects.append(Disconnect(link, CloseCode.TIMEOUT, Reason.LINK_SILENT))
            elif now - pulse.sent_at >= config.beat_us - config.together_us or now >= pulse.ping_due:
                pulse.sent_at = now
                beats.append((link, self._beat(link, pulse, now)))
        self._due = None
        effects.extend(self._arm(now))
        return effects, beats

    def _ends_at(self, pulse: _Pulse) -> Instant:
        """When silence will have lasted too long."""
        end = pulse.heard_at + self._config.silence_us
        return end if pulse.open else min(end, pulse.up_at + self._config.hello_us)

    def _beat(self, link: LinkId, pulse: _Pulse, now: Instant) -> Message:
        if pulse.pinged and now < pulse.ping_due:
            return Beat()
        pulse.pinged = True
        pulse.ping_due = now + self._config.ping_every_us
        pulse.ping_at = now
        return Ping(link & 0xFFFFFFFF)

    def _arm(self, now: Instant) -> list[Effect]:
        """Wake when the first beat or the first end of patience is due, unless that is arranged already."""
        if not self._pulses:
            return []
        beat = min(pulse.sent_at for pulse in self._pulses.values()) + self._config.beat_us
        at = max(now + MS, min(beat, *(self._ends_at(pulse) for pulse in self._pulses.values())))
        if self._due is not None and self._due <= at:
            return []
        self._due = at
        return [SetTimer(TIMER, at)]
