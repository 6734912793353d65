"""Where this hub's signals come from: nothing, or a recording played as if it were live."""

from __future__ import annotations

from collections.abc import Callable

import trio

from meshnode.clock import boot_us
from meshnode.config import SensingSection
from protocol.errors import ConfigError
from protocol.inputs import Reading


async def run_sensing(settings: SensingSection, nursery: trio.Nursery, sink: Callable[[Reading], None]) -> None:
    """Start what the settings ask for in ``nursery``.

    Raises:
        ConfigError: the recording is missing or cannot be read; names the file.
    """
    if settings.source == "none":
        return
    # Loaded here: they cost a hub without sensors 40 ms of its start.
    from meshnode.sensing.estimator.arousal import Estimator
    from meshnode.sensing.recordings import load_recording
    from meshnode.sensing.replay import Player, Replay, play

    if settings.path is None:
        raise ConfigError("sensing.path is empty: name the recording to play")
    recording = load_recording(settings.path)
    start = boot_us()
    player = Player(recording, start, speed=settings.speed, offset_s=settings.offset_s, loop=settings.loop)
    nursery.start_soon(play, Replay(player, Estimator(), start), boot_us, sink)
