"""How long a planned run will take, and what to ask for so that it goes better."""
