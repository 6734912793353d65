"""As much of PyNaCl as identities ask for: Ed25519 in integers."""
