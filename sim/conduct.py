"""What every single step of a hub must keep to, judged from what it was told and what it asks for.

Beside :mod:`sim.checkers`, which looks at what hubs say of themselves: this one looks at what they do, before it is
done. Consent: no vector of one's own without the grant of that moment, none of others without their leave, nothing past
its lease, no age made younger than it is by more than the network's own delays. Storage: no vector leaves under a boot
number that is not stored. Links: HELLO first, nothing after the end. Bounds: dials under way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocol.clock import MS, Instant
from protocol.effects import Connect, Disconnect, Effect, Send, StoreBoot
from protocol.ids import LinkId
from protocol.inputs import CommonsGrant, DialFailed, Input, LinkDown, LinkUp, SetGrant
from protocol.wire.messages import Hello, Vector
from protocol.wire.records import MAY_AGGREGATE, MAY_RECORD, MAY_RELAY
from sim.checkers import Safety
from sim.host import Host
from sim.ledger import Made
from sim.world import World

DIALS_MAX: Final = 32
"""Dials under way at once: the views' and the overlay's together have room for 16."""
LOOK_EVERY: Final = 64
"""Steps between two comparisons of the acting hub's whole picture with the truth."""


@dataclass(slots=True)
class _Life:
    """What one run of a process was told and has asked for. ``links`` says whether HELLO was sent."""

    number: int
    boot: int
    grant: CommonsGrant | None = None
    granted_at: Instant = 0
    links: dict[LinkId, bool] = field(default_factory=dict)
    dials: dict[int, None] = field(default_factory=dict)


class Conduct:
    """Raises :class:`~sim.world.SafetyViolation` at the step that breaks a rule; ``safety`` knows the truth."""

    def __init__(self, safety: Safety) -> None:
        self._safety = safety
        self._world: World = safety.world
        self._ledger = safety.ledger
        self._lives: dict[int, _Life] = {}
        self._steps = 0
        self.vectors = 0
        self._world.stepped.append(self._on_step)
        self._world.signed.append(self._on_signed)

    def _life(self, host: Host) -> _Life:
        life = self._lives.get(host.index)
        if life is None or life.number != host.life:
            life = self._lives[host.index] = _Life(host.life, host.storage.boot)
        return life

    def _on_signed(self, host: Host, _: bytes) -> None:
        made = self._ledger.newest.get(host.author)
        if made is not None and made.at == self._world.now and not _covers(host.told, made):
            raise self._world.violation("consent", f"signed dimensions {made.dims} under {host.told}", host)

    def _on_step(self, host: Host, input: Input, effects: list[Effect]) -> None:
        life = self._life(host)
        match input:
            case LinkUp(link):
                life.links[link] = False
                life.dials.pop(-1 if input.dial is None else input.dial, None)
            case LinkDown(link):
                life.links.pop(link, None)
            case DialFailed(dial):
                life.dials.pop(dial, None)
            case SetGrant(grant) if grant != life.grant:
                life.grant, life.granted_at = grant, self._world.now
        for effect in effects:
            if type(effect) is Send:
                self._check_send(host, life, effect)
            elif type(effect) is Disconnect:
                life.links.pop(effect.link, None)
            elif type(effect) is StoreBoot:
                life.boot = max(life.boot, effect.boot)
            elif type(effect) is Connect:
                self._check_dial(host, life, effect)
        self._steps += 1
        if self._steps % LOOK_EVERY == 0:
            self._world.kernel.at(self._world.now, self._look, host)  # when what this step began is done

    def _look(self, host: Host) -> None:
        if host.alive and host.starved_until is None:
            self._safety.check(host, self._world.statistics(host))

    def _check_dial(self, host: Host, life: _Life, dial: Connect) -> None:
        life.dials[dial.dial] = None
        if not dial.addresses or len(life.dials) > DIALS_MAX:
            raise self._world.violation("dials", f"{len(life.dials)} dials under way, {dial.addresses}", host)

    def _check_send(self, host: Host, life: _Life, send: Send) -> None:
        said = life.links.get(send.link)
        if said is None:
            raise self._world.violation("link", f"sends on link {send.link}, which is not up", host)
        if not said:
            if not isinstance(send.messages[0], Hello):
                raise self._world.violation("link", f"says {send.messages[0]} before HELLO", host)
            life.links[send.link] = True
        for message in send.messages:
            if type(message) is Vector:
                self._check_vector(host, life, message)

    def _check_vector(self, host: Host, life: _Life, message: Vector) -> None:
        self.vectors += 1
        violation = self._world.violation
        made = self._ledger.by_bytes.get(message.signed)
        if made is None:
            raise violation("authentic", "sends a vector that nobody made of late", host)
        if made.author == host.author:
            self._check_own(host, life, made)
        elif not made.terms & MAY_RELAY:
            raise violation("consent", "passes on what may not be passed on", host)
        true_age = self._world.now - made.at
        if message.age_ms * MS >= made.lease_us or true_age > made.lease_us + self._safety.residue_us:
            raise violation("lease", f"sends what is {true_age} us old and was leased for {made.lease_us} us", host)

    def _check_own(self, host: Host, life: _Life, made: Made) -> None:
        if made.number[0] > life.boot:
            raise self._world.violation("boot", f"says boot {made.number[0]} with {life.boot} stored", host)
        if not _covers(host.told, made) or made.at < life.granted_at:
            raise self._world.violation("consent", f"sends a vector of its own under {host.told}", host)


def _covers(grant: CommonsGrant | None, made: Made) -> bool:
    """Whether the person lets this out now."""
    if grant is None or any(dim not in grant.dimensions for dim in made.dims):
        return False
    may = (
        (MAY_RELAY if grant.may_relay else 0)
        | (MAY_AGGREGATE if grant.may_aggregate else 0)
        | (MAY_RECORD if grant.may_record else 0)
    )
    return not made.terms & ~may
