"""Many hubs, each a process of its own: starts them, asks them, counts their CPU time, ends them.

A hub process ends when its standard input does, so nothing outlives the benchmark however it ends.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.hub import Spec
from protocol import MeshError

ANSWER_S: Final = 60.0
STOP_S: Final = 10.0
ROOT: Final = Path(__file__).resolve().parent.parent


class BenchmarkError(MeshError):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A hub at one instant: boot time (us), CPU seconds so far and those of them in the kernel, values shown,
    voluntary context switches, links."""

    at: int
    cpu_s: float
    system_s: float
    shown: int
    switches: int
    links: int


class HubChild:
    """One hub process; ``author`` and ``port`` are known once it is ready."""

    def __init__(self, spec: Spec, log: Path) -> None:
        self.spec = spec
        self._log = log
        self._rest = b""
        self.author = ""
        self.port = 0
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.hub", json.dumps(asdict(spec))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                bufsize=0,
            )

    def ready(self) -> None:
        """Wait until the hub says that it is.

        Raises:
            BenchmarkError: it did not start.
        """
        said = self.hear()
        self.author, self.port = said["author"], said["port"]

    def say(self, cmd: str, **more: object) -> None:
        """Send a command; :meth:`hear` reads the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"cmd": cmd, **more}).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        """The next line that the hub says.

        Raises:
            BenchmarkError: it ended or stayed silent.
        """
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        deadline = time.monotonic() + ANSWER_S
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise BenchmarkError(f"a hub does not answer: {self._said()}")
            part = os.read(descriptor, 1 << 16)
            if not part:
                raise BenchmarkError(f"a hub has ended: {self._said()}")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, cmd: str, **more: object) -> dict[str, Any]:
        """One command and its answer."""
        self.say(cmd, **more)
        return self.hear()

    def _said(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it logged nothing"

    def stop(self) -> None:
        """Close its standard input, which ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> None:
        """Until it has ended."""
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Hubs(list[HubChild]):
    """All hub processes of one benchmark."""

    def ask(self, cmd: str, **more: object) -> list[dict[str, Any]]:
        """The same command to all at once; answers in order."""
        for hub in self:
            hub.say(cmd, **more)
        return [hub.hear() for hub in self]

    def mark(self) -> list[Mark]:
        """Where every hub is now."""
        return [Mark(**answer) for answer in self.ask("mark")]

    def meet(self, dial: Callable[[int], Sequence[int]] | None = None) -> None:
        """Tell everybody of everybody; hub i dials only the hubs ``dial(i)`` if that is given."""
        for i, hub in enumerate(self):
            others = [(other.port, other.author) for other in self if other is not hub]
            hub.say("meet", peers=others, ports=None if dial is None else [self[j].port for j in dial(i)])
        for hub in self:
            hub.hear()

    def until(self, done: Callable[[dict[str, Any]], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until every hub's state is as wanted.

        Raises:
            BenchmarkError: it is not so in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            states = self.ask("state")
            if all(done(state) for state in states):
                return
            if time.monotonic() > deadline:
                seen = sorted((state["links"], state["known"]) for state in states)
                raise BenchmarkError(f"{what}: not within {seconds:.0f} s; (links, known) are {seen}")
            time.sleep(0.5)

    def dumps(self, folder: Path) -> list[dict[str, Any]]:
        """What every hub has seen; see ``benchmarks.hub.Ears.dump``."""
        for i, hub in enumerate(self):
            hub.say("dump", path=str(folder / f"ears{i}.json"))
        for hub in self:
            hub.hear()
        return [json.loads((folder / f"ears{i}.json").read_text(encoding="utf-8")) for i in range(len(self))]


@contextmanager
def hubs(specs: Sequence[Spec], profile: Path | None = None) -> Iterator[tuple[Hubs, Path]]:
    """Start a hub process for every spec, all of one new mesh, and wait until they are ready; end them afterwards.

    Gives the hubs and a folder that is theirs. ``state_dir`` and ``secret_file`` of the specs are filled in here.
    """
    running = Hubs()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        secret = folder / "mesh.secret"
        secret.touch(mode=0o600)
        secret.write_text(os.urandom(32).hex() + "\n", encoding="ascii")
        try:
            for i, spec in enumerate(specs):
                trace = "" if profile is None else str(profile / f"{len(specs)}-hubs-{i}.stacks")
                own = replace(spec, state_dir=str(folder / f"h{i}"), secret_file=str(secret), profile=trace)
                running.append(HubChild(own, folder / f"h{i}.log"))
            for hub in running:
                hub.ready()
            yield running, folder
        finally:
            for hub in running:
                hub.stop()
            for hub in running:
                hub.wait()


def pss_mb(pid: int) -> float:
    """Proportional set size in MB (10^6 bytes).

    Raises:
        BenchmarkError: the kernel does not tell.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError as fault:
        raise BenchmarkError(f"smaps_rollup of {pid}: {fault.strerror}") from fault
    kib = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib * 1024 / 1e6
