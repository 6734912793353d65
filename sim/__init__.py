"""The simulator: the same protocol Nodes as the daemon's, driven in virtual time, from one seed."""
