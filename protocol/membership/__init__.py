"""Who is here: which links this hub keeps, whom it dials, and when a link counts as silent."""
