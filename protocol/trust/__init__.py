"""Whom a hub trusts, and why; see protocol/trust/trust.py."""
