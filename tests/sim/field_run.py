"""One small field with deaths, a cut and broadcasts; prints the digest of all its steps.

``python -m tests.sim.field_run [--seed N] [--members N]``
"""

from __future__ import annotations

import argparse
import json

from protocol.clock import SECOND
from sim.field import Field
from sim.members import FieldConfig
from sim.spread import SpreadConfig
from sim.weather import WeatherConfig


def play(seed: int, members: int) -> Field:
    """Gather, lose every twentieth message once or more, say something, die, be cut, heal."""
    config = FieldConfig(
        members=members,
        spread=SpreadConfig(),
        weather=WeatherConfig(loss=0.05),
        double_us=SECOND,
        discovery_us=SECOND,
        traced=True,
    )
    field = Field(seed, config)
    field.populate()
    field.run(2 * SECOND)
    assert field.spread is not None
    field.spread.broadcast(0)
    field.die(range(1, members, 7), silent=False)
    field.die(range(2, members, 7), silent=True)
    field.run(4 * SECOND)
    field.cut([number % 2 for number in range(members)])
    field.run(4 * SECOND)
    field.heal()
    field.spread.broadcast(0)
    field.run(4 * SECOND)
    return field


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="the digest of one field")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--members", type=int, default=60)
    chosen = parser.parse_args()
    field = play(chosen.seed, chosen.members)
    assert field.spread is not None
    told = {
        "digest": field.digest.hex(),
        "events": field.events,
        "silences": field.counters.silences,
        "delivered": [sent.delivered for sent in field.spread.sent.values()],
        "salt": hash(b"salted"),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
