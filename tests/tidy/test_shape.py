"""The repository is in shape, and every rule of shape catches its bad sample."""

from __future__ import annotations

import pytest

from tests.tidy import shape as rules
from tests.tidy.tree import Rule, findings, listing, parse

RULES: list[Rule] = [
    rules.file_is_short,
    rules.functions_are_short,
    rules.module_is_described,
    rules.public_names_are_described,
    rules.protocol_has_no_any,
    rules.protocol_has_no_named_tuple,
    rules.dataclasses_are_frozen,
    rules.protocol_calls_nothing_impure,
    rules.sets_are_not_walked,
    rules.todos_carry_a_condition,
    rules.names_of_tests_are_sentences,
]
# Marks that the rule looks for are put together here, so that this file does not carry them.
TO_DO, FIX = "TO" + "DO", "FIX" + "ME"
DATACLASS = "from dataclasses import dataclass\n"
BAD: list[tuple[Rule, str, str]] = [
    (rules.file_is_short, "sim/long.py", "x = 1\n" * 501),
    (rules.functions_are_short, "sim/long.py", "def f():\n" + "    x = 1\n" * 60),
    (rules.functions_are_short, "sim/long.py", "class C:\n    async def f(self):\n" + "        x = 1\n" * 60),
    (rules.module_is_described, "sim/plain.py", "x = 1"),
    (rules.module_is_described, "sim/plain.py", '"""Things."""'),
    (rules.module_is_described, "sim/plain.py", '"""No end to this sentence"""'),
    (rules.public_names_are_described, "protocol/ids.py", "def make():\n    return 1"),
    (rules.public_names_are_described, "meshnode/x.py", "class Thing:\n    pass"),
    (rules.protocol_has_no_any, "protocol/ids.py", "from typing import Any"),
    (rules.protocol_has_no_any, "protocol/ids.py", "import typing as t\nx: t.Any = 1"),
    (rules.protocol_has_no_named_tuple, "protocol/ids.py", "from typing import NamedTuple"),
    (rules.protocol_has_no_named_tuple, "protocol/ids.py", "from collections import namedtuple"),
    (rules.protocol_has_no_named_tuple, "protocol/ids.py", "import collections as c\nP = c.namedtuple('P', 'x')"),
    (rules.dataclasses_are_frozen, "protocol/inputs.py", DATACLASS + "@dataclass\nclass A:\n    x: int"),
    (rules.dataclasses_are_frozen, "protocol/inputs.py", DATACLASS + "@dataclass(frozen=True)\nclass A:\n    x: int"),
    (rules.dataclasses_are_frozen, "protocol/inputs.py", DATACLASS + "@dataclass(slots=True)\nclass A:\n    x: int"),
    (
        rules.dataclasses_are_frozen,
        "protocol/inputs.py",
        DATACLASS + "@dataclass(slots=True, frozen=False)\nclass A:\n    x: int",
    ),
    (rules.protocol_calls_nothing_impure, "protocol/ids.py", "def f(x: bytes) -> int:\n    return hash(x)"),
    (rules.protocol_calls_nothing_impure, "protocol/ids.py", "with open('f') as file:\n    pass"),
    (rules.sets_are_not_walked, "protocol/ids.py", "for x in {1, 2}:\n    pass"),
    (rules.sets_are_not_walked, "sim/world.py", "y = [x for x in set(names)]"),
    (rules.sets_are_not_walked, "sim/world.py", "y = {x: 1 for x in {n for n in names}}"),
    (rules.todos_carry_a_condition, "sim/world.py", f"x = 1  # {TO_DO}: make it nicer"),
    (rules.todos_carry_a_condition, "sim/world.py", f"# {FIX} when there is time\nx = 1"),
    (rules.names_of_tests_are_sentences, "tests/unit/test_x.py", "def test_codec():\n    pass"),
    (rules.names_of_tests_are_sentences, "tests/unit/test_x.py", "class TestX:\n    async def test_it_works(self): 1"),
]
GOOD: list[tuple[str, str]] = [
    ("sim/short.py", '"""One sentence about it."""\n' + "x = 1\n" * 499),
    ("sim/short.py", '"""One sentence about it."""\ndef _f():\n' + "    x = 1\n" * 59),
    (
        "protocol/inputs.py",
        f'"""What comes in."""\n{DATACLASS}@dataclass(frozen=True, slots=True)\nclass _A:\n    x: int',
    ),
    (
        "protocol/inputs.py",
        f'"""What comes in."""\n{DATACLASS}@dataclass(slots=True)  # hot: built per frame\nclass _A:\n    x: int',
    ),
    (
        "protocol/inputs.py",
        f'"""What comes in."""\n{DATACLASS}# Hot: one per frame.\n@dataclass(slots=True)\nclass _A:\n    x: int',
    ),
    ("protocol/ids.py", '"""What is what here."""\nfor x in sorted({1, 2}):\n    y = {z for z in {1, 2}}'),
    ("sim/world.py", f'"""What is what here."""\nx = 1  # {TO_DO}: drop this once every hub speaks version 2'),
    ("tests/unit/test_x.py", '"""What is what here."""\ndef test_a_codec_round_trips() -> None:\n    print(open)'),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_is_in_shape(rule: Rule) -> None:
    found = findings(rule)
    assert not found, listing(found)


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_code_out_of_shape_is_caught(rule: Rule, path: str, text: str) -> None:
    assert list(rule(parse(path, text)))


@pytest.mark.parametrize(("path", "text"), GOOD)
def test_code_in_shape_is_left_alone(path: str, text: str) -> None:
    source = parse(path, text)
    assert [finding for rule in RULES for finding in rule(source)] == []


def test_every_rule_of_shape_has_a_bad_sample() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)
