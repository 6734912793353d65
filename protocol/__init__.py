"""The Trio mesh protocol as a pure function of what it was told and when: no I/O, clock, thread or randomness.

One :class:`Node` per hub; ``node.handle(input, now)`` returns effects for a driver to perform. The daemon
(``meshnode``) and the simulator (``sim``) drive the same object. What is on the wire is in docs/protocol.md.


The names below are loaded when they are first asked for, so that a plain command-line verb pays only for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from protocol.bars import Bar
    from protocol.collective.aggregate import Crowd
    from protocol.effects import Effect
    from protocol.errors import CloseCode, MeshError, Reason
    from protocol.glitch.timeline import Record, Seen
    from protocol.glitch.values import Split
    from protocol.gossip.vectors import VectorsConfig
    from protocol.identity import LocalIdentity, Mesh
    from protocol.inputs import Input
    from protocol.membership.liveness import LivenessConfig
    from protocol.membership.views import ViewsConfig
    from protocol.node import Node, NodeConfig
    from protocol.rng import Rng
    from protocol.statistics import NodeStatistics

__all__ = [
    "Bar",
    "CloseCode",
    "Crowd",
    "Effect",
    "Input",
    "LivenessConfig",
    "LocalIdentity",
    "Mesh",
    "MeshError",
    "Node",
    "NodeConfig",
    "NodeStatistics",
    "Reason",
    "Record",
    "Rng",
    "Seen",
    "Split",
    "VectorsConfig",
    "ViewsConfig",
]

_HOME: Final = {
    "Bar": "protocol.bars",
    "CloseCode": "protocol.errors",
    "Crowd": "protocol.collective.aggregate",
    "Effect": "protocol.effects",
    "Input": "protocol.inputs",
    "LivenessConfig": "protocol.membership.liveness",
    "LocalIdentity": "protocol.identity",
    "Mesh": "protocol.identity",
    "MeshError": "protocol.errors",
    "Node": "protocol.node",
    "NodeConfig": "protocol.node",
    "NodeStatistics": "protocol.statistics",
    "Reason": "protocol.errors",
    "Record": "protocol.glitch.timeline",
    "Rng": "protocol.rng",
    "Seen": "protocol.glitch.timeline",
    "Split": "protocol.glitch.values",
    "VectorsConfig": "protocol.gossip.vectors",
    "ViewsConfig": "protocol.membership.views",
}


def __getattr__(name: str) -> object:
    """Load one public name (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'protocol' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
