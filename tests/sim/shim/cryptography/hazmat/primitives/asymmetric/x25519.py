"""Names that the crypto port imports; a simulation makes no handshake, so using one of them is a bug."""


class X25519PrivateKey:
    """Refuses to be made."""

    def __init__(self) -> None:
        raise AssertionError("a simulated world makes no X25519 keys")


class X25519PublicKey(X25519PrivateKey):
    """Refuses to be made."""
