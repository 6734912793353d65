"""Hubs in network namespaces: rooms of their own, bridges between them, and cables that can be cut."""
