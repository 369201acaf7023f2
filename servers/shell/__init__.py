"""The shell server."""
