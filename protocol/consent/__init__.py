"""Each person's own terms: grants, and the one gate that asks them."""
