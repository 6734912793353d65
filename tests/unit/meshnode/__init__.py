"""Tests of meshnode's parts that need no network."""
