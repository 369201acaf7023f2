"""What the git tools do, one subject a module."""
