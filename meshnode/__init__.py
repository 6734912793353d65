"""The hub daemon: Trio plumbing around one protocol.Node."""
