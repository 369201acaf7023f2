"""Lint, formatting and tests, reported as records."""
