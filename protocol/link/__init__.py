"""One link: a handshake that proves who is there, then a sealed channel (docs/link.md).

Pure like the rest of the protocol, but driven per link by the daemon's link tasks; the node itself sees
plaintext from an authenticated author.
"""

from protocol.link.channel import Channel
from protocol.link.handshake import Established, Handshake, Progress

__all__ = ["Channel", "Established", "Handshake", "Progress"]
