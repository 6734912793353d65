"""From a person's signals to honest readings: recordings, replay and the arousal estimator.

Nothing here knows the mesh: everything ends in :class:`protocol.inputs.Reading`. The estimator is pure (no clock,
no I/O), so a live sensor and a recording go through the same code. Plain Python only: the hub stays light.
"""
