"""The state plane: the newest vector of every author, on every hub, with bounded memory."""
