"""Byte streams between hubs: TCP, an in-memory twin, the link over either, and the rehearsal's faults."""
