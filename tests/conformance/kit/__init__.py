"""The kit that tests a running hub from outside: :func:`run_checks` and the table of requirements."""

from __future__ import annotations

from tests.conformance.kit.requirements import NOT_TESTABLE, REQUIREMENTS
from tests.conformance.kit.results import Result
from tests.conformance.kit.runner import run_checks

__all__ = ["NOT_TESTABLE", "REQUIREMENTS", "Result", "run_checks"]
