"""The conformance kit: a second reading of docs/protocol.md, its examples, and tests of any hub from outside.

Nothing here imports the product; only the tests (``test_*.py``) hold the two readings against each other.
"""
