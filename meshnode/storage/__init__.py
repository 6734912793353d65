"""What a hub keeps of what people say: one SQLite database for each mesh, one thread that writes it."""
