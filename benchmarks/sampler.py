"""A sampling profiler that counts CPU time: where a running hub spends it, at a cost of one or two per cent.

ITIMER_PROF (setitimer(2)) sends SIGPROF whenever the process has used so much CPU time, and the handler notes the
Python stack. A deterministic profiler would charge small functions with its own cost, and count waiting. What a C
function uses is charged to the Python function that called it.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

INTERVAL_S: Final = 0.004
DEPTH_MAX: Final = 64


class Sampler:
    """Samples from ``start`` to ``stop``; only the main thread is seen."""

    def __init__(self) -> None:
        self._stacks: Counter[tuple[CodeType, ...]] = Counter()

    def start(self) -> None:
        """Begin to sample this process."""
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def stop(self, path: Path) -> None:
        """End, and write one line per stack, outermost first and ``;`` between, then how often it was seen."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = [f"{';'.join(map(_name, stack))} {count}" for stack, count in self._stacks.items()]
        path.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")

    def _note(self, _number: int, frame: FrameType | None) -> None:
        stack: list[CodeType] = []
        while frame is not None and len(stack) < DEPTH_MAX:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._stacks[tuple(reversed(stack))] += 1


def _name(code: CodeType) -> str:
    return f"{Path(code.co_filename).stem}:{code.co_qualname}"
