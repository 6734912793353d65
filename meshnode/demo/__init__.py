"""The demonstration: a crowd of hubs on this machine, each its own process, with a scripted glitch, judged."""
