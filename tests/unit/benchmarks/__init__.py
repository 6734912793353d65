"""Tests of the benchmarks: what they count must be right before it can be compared."""
