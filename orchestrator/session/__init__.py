"""Conversations: what they consist of and how they are opened."""
