"""The examples of docs/protocol.md: what must be accepted and what refused, written down case by case.

Each module states its cases and the verdict on each; the reference implementation must agree while they are built,
and its reading becomes ``decoded`` or ``reason``. ``python -m tests.conformance.build_vectors`` writes ``vectors/``.
"""
