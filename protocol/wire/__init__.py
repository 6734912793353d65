"""What is on the wire: framing, the bounded codec, messages and signed records (docs/protocol.md)."""
