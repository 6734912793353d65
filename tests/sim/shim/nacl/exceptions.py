"""The one exception that the crypto port catches."""


class BadSignatureError(Exception):
    """The signature does not verify."""
