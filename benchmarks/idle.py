"""What a hub costs when nobody publishes, when it starts, and when somebody asks how it is.

Sixteen hubs, each linked with the four before and the four after it in a ring: eight links and fifteen known peers,
mDNS on, nothing shared. CPU time and proportional set size are the process's own. Start and status are the real
commands, in turns with limits: an interpreter that only loads the hub's libraries, and one that only loads click.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.hub import Spec
from benchmarks.hubs import ROOT, BenchmarkError, HubChild, Mark, hubs, pss_mb
from benchmarks.measure import US, Outcome, Plan, Turns, alternate
from protocol import Bar

HUBS: Final = 16
LINKS: Final = 8
WINDOW_S: Final = 30.0
SETTLE_S: Final = 5.0
CORE_SHARE: Final = 0.5
PSS_MB: Final = 55.0
START_S: Final = 0.8
STATUS_S: Final = 0.25
ZENOH: Final = (0.38, 18.0)
PY_LIBP2P: Final = (4.3, 59.0)
COMMAND: Final = (sys.executable, "-m", "meshnode")
LIBRARIES: Final = """
import trio, zeroconf, msgpack, click, nacl.bindings, ifaddr
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
"""


def ring(hub: int) -> list[int]:
    """The hubs that ``hub`` is linked with: the four before it and the four after it."""
    return [(hub + step) % HUBS for step in range(-LINKS // 2, LINKS // 2 + 1) if step]


def _shares(before: Sequence[Mark], after: Sequence[Mark]) -> list[float]:
    """Per cent of a core that each hub used between two marks."""
    return [(b.cpu_s - a.cpu_s) / (b.at - a.at) * US * 100 for a, b in zip(before, after, strict=True)]


def _run(command: Sequence[str], environ: dict[str, str]) -> tuple[float, float]:
    """CPU and real seconds of a command that must succeed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environ, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start


def cpu_s_of(pid: int) -> float:
    """CPU seconds of a running process, ended threads included (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start(folder: Path, environ: dict[str, str]) -> float:
    """CPU seconds from nothing to the READY line of a hub that makes its identity, as ``meshnode run`` does."""
    state = Path(tempfile.mkdtemp(prefix="start-", dir=folder))
    arguments = ["run", "--state-dir", str(state / "hub"), "--mesh", state.name, "--json", "--log-level", "warning"]
    arguments += ["--listen", "127.0.0.1:0", "--interface", "127.0.0.1"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, env=environ, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            spent = cpu_s_of(process.pid)
        finally:
            process.terminate()
    if not json.loads(line or b"{}").get("ready"):
        raise BenchmarkError("meshnode run did not become ready")
    return spent


def _commands(plan: Plan, hub: HubChild, folder: Path) -> tuple[Turns, float]:
    """Start and status in turns with their limits, in CPU seconds; and the median real time of a status."""
    environ = {**os.environ, "HOME": str(folder)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the set-up compiles: an installed hub never compiles itself
    real: list[float] = []

    def status() -> float:
        spent, took = _run([*COMMAND, "status", "--json", "--state-dir", hub.spec.state_dir], environ)
        real.append(took)
        return spent

    turns = alternate(
        {
            "start": lambda: _start(folder, environ),
            "libraries": lambda: _run([sys.executable, "-c", LIBRARIES], environ)[0],
            "status": status,
            "click": lambda: _run([sys.executable, "-c", "import click, json, socket"], environ)[0],
        },
        plan.repeats,
    )
    return turns, median(real[1:])


def measure(plan: Plan) -> Outcome:
    """Idle hubs for a while, then starts and questions."""
    spec = Spec("", "", max_links=LINKS)
    with hubs([spec] * HUBS, plan.profile) as (crowd, folder):
        crowd.meet(ring)
        crowd.until(lambda state: state["links"] == LINKS and state["known"] == HUBS - 1, "8 links and 15 known peers")
        time.sleep(SETTLE_S)
        before = crowd.mark()
        time.sleep(plan.seconds(WINDOW_S))
        after = crowd.mark()
        memory = [pss_mb(hub.process.pid) for hub in crowd]
        turns, status_s = _commands(plan, crowd[0], folder)
    if any(mark.links != LINKS for mark in (*before, *after)):
        raise BenchmarkError(f"not every hub kept {LINKS} links")
    shares = _shares(before, after)
    seconds = (after[0].at - before[0].at) / US
    woken = [(b.switches - a.switches) / seconds for a, b in zip(before, after, strict=True)]
    bars = [
        Bar("idle hub, 8 links and 15 known peers, CPU", median(shares), CORE_SHARE, "% of a core", ZENOH[0]),
        Bar("idle hub, memory (PSS)", median(memory), PSS_MB, "MB", ZENOH[1]),
        Bar("meshnode run, from start to ready, CPU", turns.median_us("start") / US, START_S, "s"),
        Bar("meshnode status, CPU", turns.median_us("status") / US, STATUS_S, "s"),
        Bar("meshnode status, real time", status_s, STATUS_S, "s"),
    ]
    figures = {
        "window, s": round(seconds, 1),
        "CPU of the busiest hub, % of a core": round(max(shares), 3),
        "largest PSS, MB": round(max(memory), 1),
        "wakes per hub and second": round(median(woken), 1),
        "loading the libraries alone, CPU s": round(turns.median_us("libraries") / US, 3),
        "start against that": round(turns.ratio("start", "libraries"), 2),
        "loading click alone, CPU s": round(turns.median_us("click") / US, 3),
        "status against that": round(turns.ratio("status", "click"), 2),
        "py-libp2p, % of a core (reference)": PY_LIBP2P[0],
        "py-libp2p, PSS in MB (reference)": PY_LIBP2P[1],
    }
    return Outcome(bars, figures)
