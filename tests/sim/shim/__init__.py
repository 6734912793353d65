"""Stand-ins for compiled packages, put on the path of interpreters that have none of ours installed.

Only ``tests/sim/test_determinism.py`` uses them: one seed must give one digest on every Python, and a bare interpreter
has neither msgpack nor libsodium. They compute the same bits, slowly.
"""
