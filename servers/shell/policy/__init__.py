"""What a command means and whether it may run: decided on a parse, before anything starts."""
