"""Finding out what a neighbor holds and we do not: frontier, sketch, sessions and wants."""
