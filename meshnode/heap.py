"""The garbage collector of a hub: it looks after what a running hub makes, not after what it was built from.

What exists once a hub is ready (modules, classes, configuration) stays to its end, and walking it again and again
costs a tenth of the receive path. Source: the notes on ``gc.freeze`` in the Python library reference.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 10_000
"""Objects made before the youngest generation is looked through: a few hundred vectors, some megabytes at most."""


def settle_heap() -> None:
    """Take what exists now out of the collector's sight; call it once, when the hub is ready."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
