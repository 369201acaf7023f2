"""Checks that an answer must pass before it counts as success."""
