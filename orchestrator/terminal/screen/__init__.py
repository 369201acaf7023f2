"""Events drawn on a terminal or in a file: what is said, by whom, and what happens at this moment."""
