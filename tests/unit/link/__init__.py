"""Tests of protocol/link."""
