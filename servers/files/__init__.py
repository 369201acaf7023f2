"""The files server."""
