"""The simulator's own tests: what it promises to the worlds that are built on it."""
