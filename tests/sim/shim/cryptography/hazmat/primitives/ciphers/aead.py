"""A name that the crypto port imports; a simulation seals nothing, so using it is a bug."""


class ChaCha20Poly1305:
    """Refuses to be made."""

    def __init__(self, _key: bytes) -> None:
        raise AssertionError("a simulated world seals nothing")
