"""The one exception that the crypto port catches."""


class InvalidTag(Exception):
    """Never raised: a simulation seals nothing."""
