"""Ways in which a hub learns addresses of others; each only adds hints, and identity comes from the handshake."""
