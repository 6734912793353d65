"""How the crowd feels, computed on every hub from what it holds, and who is within reach."""
