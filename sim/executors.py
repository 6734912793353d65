"""Where independent runs are worked off: in processes of this machine, or on a ``dask.distributed`` cluster.

Both take a module-level function and its items and give (number of the item, outcome) as runs end, in any order; an
outcome is what the function returned or what it raised. A run that ends its whole process costs itself only: the others
are done again in processes of their own. Whoever stops listening stops the work.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from typing import Protocol, TypeVar

from sim.kernel import collect_seldom

Work = TypeVar("Work")
Result = TypeVar("Result")

CONNECT_S = 10


class Executor(Protocol):
    """What both have in common."""

    def run(
        self, work: Callable[[Work], Result], items: Sequence[Work]
    ) -> Iterator[tuple[int, Result | BaseException]]:
        """``work`` of every item, as it is done."""


@dataclass(frozen=True, slots=True)
class Processes:
    """``jobs`` processes of this machine."""

    jobs: int = 1

    def run(
        self, work: Callable[[Work], Result], items: Sequence[Work]
    ) -> Iterator[tuple[int, Result | BaseException]]:
        """``work`` of every item, as it is done."""
        left = dict(enumerate(items))
        alone = False
        while left:
            batch = dict([next(iter(left.items()))]) if alone else dict(left)
            for number, outcome in self._pooled(work, batch):
                if isinstance(outcome, BrokenProcessPool) and not alone:
                    continue  # it or another has ended a process: which one is seen when each runs by itself
                del left[number]
                yield number, outcome
            alone = True

    def _pooled(
        self, work: Callable[[Work], Result], items: dict[int, Work]
    ) -> Iterator[tuple[int, Result | BaseException]]:
        others = active_children()
        pool = ProcessPoolExecutor(min(self.jobs, len(items)), get_context("spawn"), _worker)
        try:
            numbers = {pool.submit(work, item): number for number, item in items.items()}
            for done in as_completed(numbers):
                fault = done.exception()
                yield numbers[done], done.result() if fault is None else fault
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                if child not in others:
                    child.terminate()
            raise
        pool.shutdown()


def _worker() -> None:
    """Ctrl-C reaches every process of a terminal; the first one decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_seldom()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A ``dask.distributed`` scheduler whose workers have this package in the same version."""

    address: str

    def run(
        self, work: Callable[[Work], Result], items: Sequence[Work]
    ) -> Iterator[tuple[int, Result | BaseException]]:
        """``work`` of every item, as it is done.

        Raises:
            OSError: nobody answers at the address.
            ImportError: ``dask.distributed`` is not installed.
        """
        from distributed import Client, as_completed

        with Client(self.address, timeout=CONNECT_S) as client:
            futures = client.map(work, items, pure=False, retries=0)
            numbers = {future.key: number for number, future in enumerate(futures)}
            try:
                for done in as_completed(futures):
                    fault = done.exception()
                    yield numbers[done.key], done.result() if fault is None else fault
            finally:
                client.cancel(futures)
