"""Tests of the pure protocol: what went in, and what came out."""
