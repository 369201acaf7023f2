"""A conversation in the terminal: lines in, turns, and the commands among them."""
