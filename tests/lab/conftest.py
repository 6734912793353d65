"""Skips with the reason what a machine without namespaces cannot do; checks that nothing is left."""

from __future__ import annotations

import pytest

from tests.daemon.conftest import nothing_left
from tests.lab.netns import why_not

__all__ = ["nothing_left"]

_reason: list[str | None] = []


@pytest.fixture
def namespaces() -> None:
    """Skip where there are none."""
    if not _reason:
        _reason.append(why_not())
    if _reason[0] is not None:
        pytest.skip(_reason[0])
