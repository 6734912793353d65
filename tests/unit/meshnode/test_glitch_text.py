"""What a person reads of a torn crowd."""

from __future__ import annotations

from typing import Any

from meshnode.cli.glitch import now_text


def glitch(**more: Any) -> dict[str, Any]:
    """What ``status`` has under ``glitch``."""
    return {"crowds": [7, 5], "alone": False, "for_s": 12.3, "confidence": 0.987, **more}


def test_two_crowds_are_told_with_their_sizes_and_since_when() -> None:
    assert now_text(glitch()) == "we are two crowds now, 7 and 5, for 12 s (sure to 0.99)"


def test_a_hub_that_hears_nobody_says_that_it_may_be_its_own_fault() -> None:
    told = now_text(glitch(crowds=[1, 11], alone=True))
    assert told == "this hub hears nobody of 11, for 12 s: it, or its network, is cut off"


def test_one_crowd_is_not_worth_a_sentence() -> None:
    assert now_text(glitch(crowds=None)) is None
