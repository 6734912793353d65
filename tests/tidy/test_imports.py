"""The layers hold in the repository, and every layer rule catches its bad sample."""

from __future__ import annotations

import pytest

from tests.tidy import imports as rules
from tests.tidy.tree import Rule, findings, listing, parse, sources

RULES: list[Rule] = [
    rules.layers_inside_protocol,
    rules.protocol_is_pure,
    rules.packages_keep_apart,
    rules.only_node_knows_machines,
    rules.trust_is_blind_to_mood,
    rules.conformance_shares_no_code,
]
IMPURE = (
    *("os", "time", "random", "secrets", "socket", "threading", "trio", "asyncio", "datetime", "sqlite3", "logging"),
    *("sys", "subprocess", "pathlib", "uuid", "select", "ssl", "tempfile", "importlib", "contextvars", "requests"),
)
BAD: list[tuple[Rule, str, str]] = [
    (rules.layers_inside_protocol, "protocol/ids.py", "from protocol.wire import codec"),
    (rules.layers_inside_protocol, "protocol/wire/codec.py", "from protocol.gossip import vectors"),
    (rules.layers_inside_protocol, "protocol/wire/codec.py", "def f():\n    import protocol.node"),
    (rules.layers_inside_protocol, "protocol/gossip/vectors.py", "from protocol.membership.views import View"),
    (rules.layers_inside_protocol, "protocol/gossip/vectors.py", "from ..membership import views"),
    (rules.layers_inside_protocol, "protocol/gossip/vectors.py", "from protocol import membership"),
    (rules.layers_inside_protocol, "protocol/gossip/vectors.py", "from protocol import node"),
    (rules.layers_inside_protocol, "protocol/gossip/vectors.py", "from protocol import Node"),
    (rules.layers_inside_protocol, "protocol/gossip/vectors.py", "import protocol"),
    (rules.layers_inside_protocol, "protocol/surprise.py", "x = 1"),
    (
        rules.layers_inside_protocol,
        "protocol/gossip/vectors.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from protocol.consent.policy import decide",
    ),
    *((rules.protocol_is_pure, "protocol/rng.py", f"import {name}") for name in IMPURE),
    (rules.protocol_is_pure, "protocol/clock.py", "from os import urandom"),
    (rules.protocol_is_pure, "protocol/clock.py", "from time import monotonic"),
    (rules.protocol_is_pure, "protocol/clock.py", "try:\n    x = 1\nexcept ValueError:\n    import time"),
    (rules.protocol_is_pure, "protocol/clock.py", "match 1:\n    case _:\n        import time"),
    (rules.protocol_is_pure, "protocol/identity.py", "from nacl import bindings"),
    (rules.protocol_is_pure, "protocol/link/noise.py", "from cryptography.exceptions import InvalidTag"),
    (rules.protocol_is_pure, "protocol/gossip/vectors.py", "import msgpack"),
    (rules.protocol_is_pure, "protocol/collective/aggregate.py", "import numpy as np"),
    (rules.packages_keep_apart, "protocol/node.py", "from sim.world import World"),
    (rules.packages_keep_apart, "protocol/node.py", "from meshnode.clock import now"),
    (rules.packages_keep_apart, "sim/world.py", "from meshnode.driver import drive"),
    (rules.packages_keep_apart, "meshnode/driver.py", "import sim"),
    (rules.packages_keep_apart, "meshnode/driver.py", "def f():\n    from tests.check import main"),
    (rules.only_node_knows_machines, "meshnode/driver.py", "from protocol.gossip.vectors import Shelf"),
    (rules.only_node_knows_machines, "sim/world.py", "from protocol import membership"),
    (rules.only_node_knows_machines, "sim/field.py", "from protocol.collective import aggregate"),
    (rules.only_node_knows_machines, "sim/world.py", "from protocol.link.channel import Channel"),
    (rules.trust_is_blind_to_mood, "protocol/trust/evidence.py", "from protocol.collective import aggregate"),
    (rules.trust_is_blind_to_mood, "protocol/trust/evidence.py", "from protocol.gossip import trees"),
    (rules.trust_is_blind_to_mood, "protocol/trust/evidence.py", "from protocol.wire.records import Vector"),
    (rules.trust_is_blind_to_mood, "protocol/trust/evidence.py", "def weigh(record):\n    return record.arousal"),
    (rules.trust_is_blind_to_mood, "protocol/trust/evidence.py", "def weigh(vector):\n    return 1"),
    (rules.trust_is_blind_to_mood, "protocol/bonds.py", "from protocol.gossip.vectors import Vectors"),
    (rules.trust_is_blind_to_mood, "protocol/bonds.py", "def weigh(arousal):\n    return 1"),
    (rules.conformance_shares_no_code, "tests/conformance/peer.py", "from protocol.wire import codec"),
    (rules.conformance_shares_no_code, "tests/conformance/__main__.py", "import meshnode.clock"),
]
GOOD: list[tuple[str, str]] = [
    ("sim/field.py", "from protocol.membership.overlay import Overlay"),
    ("sim/papers/plumtree.py", "from protocol.gossip.trees import TreesConfig"),
    ("protocol/__init__.py", "from protocol.node import Node\nfrom protocol.gossip.vectors import Shelf"),
    ("protocol/node.py", "from protocol.gossip.vectors import Shelf\nfrom protocol.consent import policy"),
    (
        "protocol/gossip/vectors.py",
        "from protocol.gossip.lane import Lane\nfrom protocol.ids import AuthorId\nimport math",
    ),
    ("protocol/gossip/lane.py", "from . import shelf\nfrom ..ids import AuthorId"),
    ("protocol/identity.py", "from protocol import crypto\nfrom protocol.wire.records import Record"),
    ("protocol/crypto.py", "import nacl.bindings\nfrom cryptography.exceptions import InvalidTag"),
    ("protocol/wire/codec.py", "import msgpack"),
    ("protocol/trust/evidence.py", "from protocol.ids import AuthorId\ndef weigh(evidence): return evidence.count"),
    ("meshnode/driver.py", "import trio\nfrom protocol import Node\nfrom protocol.link.channel import Channel"),
    ("sim/world.py", "from protocol import Node\nfrom protocol.timers import TimerTable"),
    ("tests/conformance/test_kit.py", "import meshnode.clock"),
    ("tests/unit/test_x.py", "from protocol.gossip.vectors import Shelf\nimport sim, meshnode"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps_to_its_layers(rule: Rule) -> None:
    found = findings(rule)
    assert not found, listing(found)


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_an_import_across_the_layers_is_caught(rule: Rule, path: str, text: str) -> None:
    found = list(rule(parse(path, text)))
    assert found
    assert all(finding.path == path for finding in found)


@pytest.mark.parametrize(("path", "text"), GOOD)
def test_an_import_down_the_layers_is_left_alone(path: str, text: str) -> None:
    source = parse(path, text)
    assert [finding for rule in RULES for finding in rule(source)] == []


def test_every_layer_rule_has_a_bad_sample() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)


@pytest.mark.parametrize("importer", ["consent", "collective", "trust"])
@pytest.mark.parametrize("imported", ["consent", "collective", "trust"])
def test_consent_collective_and_trust_know_nothing_of_each_other(importer: str, imported: str) -> None:
    source = parse(f"protocol/{importer}/part.py", f"from protocol.{imported}.other import thing")
    assert bool(list(rules.layers_inside_protocol(source))) == (importer != imported)


def test_the_layers_name_every_part_of_protocol_once() -> None:
    names = [name for layer in rules.LAYERS for name in layer]
    assert len(names) == len(set(names))
    assert {rules.room(source.module) for source in sources() if source.inside("protocol")} - {None} <= set(names)


def test_no_modules_import_each_other_in_a_ring() -> None:
    rings = rules.cycles(sources())
    assert not rings, "\n".join(" -> ".join(ring) for ring in rings)


def test_a_ring_of_imports_is_caught_and_a_deferred_import_breaks_it() -> None:
    first = parse("sim/a.py", "from sim.b import thing")
    ring = (first, parse("sim/b.py", "from sim import c"), parse("sim/c.py", "import sim.a"))
    broken = (*ring[:2], parse("sim/c.py", "def f():\n    import sim.a"))
    assert rules.cycles(ring) == [["sim.a", "sim.b", "sim.c", "sim.a"]]
    assert rules.cycles(broken) == []
