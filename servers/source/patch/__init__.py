"""Patches as text: reading them in the forms models write, and applying them to one text."""
