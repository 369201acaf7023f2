"""The ollama server."""
