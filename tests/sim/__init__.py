"""Whole worlds as tests: determinism, heals, hostile hubs, and a swarm of seeds."""
