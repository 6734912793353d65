"""Two hubs joined by one link, for unit tests: arrange, let time pass, look at both.

``left`` and ``right`` are names; everything that takes ``who`` takes one of them. Both hubs' boot time is the world's,
so ``pair.now`` can be handed to a Node directly.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.clock import SECOND, Duration, Instant
from protocol.effects import Effect
from protocol.inputs import CommonsGrant, Estimate, Input, Publish, Reading, SetGrant
from protocol.node import Node, NodeConfig
from protocol.statistics import AuthorStatistics, NodeStatistics
from protocol.wire.registry import AROUSAL
from sim.checkers import Safety
from sim.discovery import Hints
from sim.host import Host, Machine
from sim.network import Lane
from sim.paths import Quality
from sim.world import DEFAULT_GRANT, World, WorldConfig

JOINED_WITHIN: Duration = 5 * SECOND
STEADY = Quality(jitter_us=0)


class Pair:
    """``left`` dials ``right`` at the start, and both share under ``grant``. People say what :meth:`publish` says."""

    def __init__(
        self,
        *,
        seed: int,
        left: str = "left",
        right: str = "right",
        grant: CommonsGrant | None = DEFAULT_GRANT,
        quality: Quality = STEADY,
        lane: Lane = "wire",
        node_config: NodeConfig | None = None,
        wrap_right: Callable[[Node, Host], Machine] | None = None,
        joined: bool = True,
    ) -> None:
        config = WorldConfig(
            grant=grant, quality=quality, lane=lane, hints=Hints(enabled=False), offset_us_max=0, dated=0.0
        )
        self.world = World(seed, config)
        self.safety = Safety(self.world, every_us=None)
        self._left = self.world.add(left, person=False, node_config=node_config)
        self._right = self.world.add(right, person=False, node_config=node_config, wrap=wrap_right)
        self.world.run(0)
        if joined:
            self.meet()

    # --- who ----------------------------------------------------------------------------------------------------

    def host(self, who: str) -> Host:
        """The hub of that name."""
        return self.world.names[who]

    def other(self, who: str) -> Host:
        """The hub of the other name."""
        return self._right if self.host(who) is self._left else self._left

    @property
    def left(self) -> Node:
        """The left hub's Node; what is handed to it directly is not performed."""
        return _node(self._left)

    @property
    def right(self) -> Node:
        """The right hub's Node."""
        return _node(self._right)

    # --- time ---------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        """The world's time, and each hub's."""
        return self.world.now

    def advance(self, us: Duration) -> None:
        """Let ``us`` microseconds pass, then compare both hubs with the truth."""
        self.world.run(self.now + us)
        self.safety.sweep()

    def meet(self) -> None:
        """The left hub is told of the right one; returns when both say that their link is open."""
        self.world.discovery.introduce(self._left, self._right)
        assert self.world.wait(self.linked, JOINED_WITHIN, SECOND // 100) is not None, "no link"

    # --- what people do -----------------------------------------------------------------------------------------

    def give(self, who: str, input: Input) -> list[Effect]:
        """Tell a hub something; what it asks for is performed and returned."""
        return self.world.handle(self.host(who), input)

    def publish(self, who: str, value: float | None, sd: float | None = 0.1) -> list[Effect]:
        """The person of ``who`` has this arousal now."""
        return self.give(who, Publish(Reading(self.now, (Estimate(AROUSAL, value, sd),), 1.0, 1)))

    def grant(self, who: str, grant: CommonsGrant | None) -> list[Effect]:
        """``who`` shares under this grant from now on; None withdraws."""
        return self.give(who, SetGrant(grant))

    # --- what the world does ------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self.world.cut([self._left], [self._right])

    def cut_from(self, who: str) -> None:
        """Nothing passes from ``who`` to the other."""
        self.world.cut_one_way(self.host(who), self.other(who))

    def heal(self) -> None:
        """All cuts end."""
        self.world.heal()

    def reset(self) -> None:
        """The link breaks, and both are told."""
        self.world.reset(self._left, self._right)

    def crash(self, who: str, *, power: bool = False) -> None:
        """The process of ``who`` ends."""
        self.world.crash(self.host(who), power=power)

    def restart(self, who: str) -> None:
        """``who`` starts again, one boot higher."""
        self.world.restart(self.host(who))

    def starve(self, who: str, us: Duration) -> None:
        """``who`` gets no time for ``us``."""
        self.world.starve(self.host(who), us)

    # --- what can be seen ---------------------------------------------------------------------------------------

    def linked(self) -> bool:
        """Whether both say that they have an open link with the other."""
        return all(
            host.alive and any(link.open and link.peer == peer.author for link in self.statistics(host.name).links)
            for host, peer in ((self._left, self._right), (self._right, self._left))
        )

    def statistics(self, who: str) -> NodeStatistics:
        """The whole picture that ``who`` has."""
        return self.world.statistics(self.host(who))

    def shown(self, at: str, of: str) -> AuthorStatistics | None:
        """What ``at`` shows of ``of``, None if nothing."""
        author = self.host(of).author
        return next((line for line in self.statistics(at).authors if line.author == author), None)


def _node(host: Host) -> Node:
    assert host.node is not None, f"{host.name} is not running"
    return host.node
