"""The whole path on a small project of its own."""
