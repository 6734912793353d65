"""``python -m tests.conformance --target HOST:PORT --mesh NAME``: test a running hub from outside.

Exit status 0 only if every requirement that can be tested passes, 1 if one fails, 2 if the hub cannot be reached or
the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from dataclasses import asdict
from typing import Final

from tests.conformance.kit import REQUIREMENTS, Result, run_checks
from tests.conformance.kit.runner import SECONDS
from tests.conformance.reference.weather import now

RUN_SECONDS_MAX: Final = 60.0


def bars_of(results: list[Result], seconds: float) -> list[dict[str, object]]:
    """The claims of a run: nothing failed, something passed, and it did not take long."""
    failed = sum(result.outcome == "fail" for result in results)
    passed = sum(result.outcome == "pass" for result in results)
    testable = passed + failed
    return [
        _bar("requirements failed", failed, 0, "requirements", at_most=True),
        _bar("requirements passed", passed, max(1, testable), "requirements", at_most=False),
        _bar("duration", round(seconds, 1), RUN_SECONDS_MAX, "s", at_most=True),
    ]


def _bar(name: str, ours: float, bar: float, unit: str, *, at_most: bool) -> dict[str, object]:
    met = ours <= bar if at_most else ours >= bar
    return {
        "name": name,
        "ours": ours,
        "reference": None,
        "bar": bar,
        "unit": unit,
        "at_most": at_most,
        "met": met,
    }


def parse_target(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description="Test a running hub from outside, without any of its code."
    )
    parser.add_argument("--target", required=True, type=parse_target, metavar="HOST:PORT", help="where the hub listens")
    parser.add_argument("--mesh", required=True, metavar="NAME", help="the name of its open mesh")
    parser.add_argument("--json", action="store_true", help="print one object with bars and requirements")
    parser.add_argument("--timeout", type=float, default=SECONDS, metavar="S", help="how long an answer may take")
    parser.add_argument(
        "--only", action="append", choices=list(REQUIREMENTS), metavar="R17", help="test this one; may be repeated"
    )
    return parser.parse_args(arguments)


def unreachable(target: tuple[str, int], seconds: float) -> str | None:
    """Why nothing can be tested there, or None."""
    try:
        socket.create_connection(target, timeout=seconds).close()
    except OSError as fault:
        return f"nobody answers at {target[0]}:{target[1]}: {fault}"
    return None


def lines_of(results: list[Result], seconds: float) -> list[str]:
    """What a person reads."""
    lines = [f"{result.requirement:<4} {result.outcome:<13} {result.summary}: {result.seen}" for result in results]
    counts = [
        f"{sum(result.outcome == outcome for result in results)} {outcome}"
        for outcome in ("pass", "fail", "not testable")
    ]
    return [*lines, f"{', '.join(counts)} in {seconds:.1f} s"]


def main(arguments: list[str] | None = None) -> int:
    """Run the kit once."""
    options = parse_arguments(arguments)
    if (reason := unreachable(options.target, options.timeout)) is not None:
        sys.stderr.write(f"{reason}\n")
        return 2
    begun = now()
    host, port = options.target
    results = run_checks(host, port, options.mesh, options.only, options.timeout)
    seconds = now() - begun
    bars = bars_of(results, seconds)
    met = all(bar["met"] for bar in bars)
    if options.json:
        requirements = [asdict(result) for result in results]
        sys.stdout.write(json.dumps({"bars": bars, "met": met, "requirements": requirements}) + "\n")
    else:
        sys.stdout.write("\n".join(lines_of(results, seconds)) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
