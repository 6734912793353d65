"""Durable events: every author's chain, payloads that can be erased, checkpoints, proofs of forks, quotas."""
