"""What a person types. Plain verbs import no trio and answer in a quarter of a second."""
