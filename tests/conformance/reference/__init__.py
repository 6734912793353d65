"""A second, small implementation of the protocol in plain blocking code, written from docs/protocol.md alone.

It trades speed for plainness. The conformance kit speaks through it, the examples are made with it, and its hub
shows that the document can be implemented, and that the kit passes what is right and catches what is wrong.
"""
