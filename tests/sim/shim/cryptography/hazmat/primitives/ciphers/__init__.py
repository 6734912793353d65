"""A package on the way to the few names below; nothing of it is used by a simulation."""
