"""Unit tests: no network, no sleep."""
