"""Everything that checks the project; `python -m tests.check` runs it."""
