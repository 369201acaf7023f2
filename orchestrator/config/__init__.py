"""What the person configured: read, checked, trusted."""
