"""Tests of the daemon against the real operating system."""
