"""What agents remember beyond their conversations, and what their earlier runs teach."""
