"""Damaged and hostile input by the thousand, from a seed: `python -m tests.fuzz --seconds 60 --seed 7`."""
