"""The screen and the prompt."""
