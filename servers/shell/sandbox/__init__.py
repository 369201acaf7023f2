"""What a command can see, change and use up while it runs."""
