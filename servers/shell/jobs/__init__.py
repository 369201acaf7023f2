"""Running commands: output kept, whole process trees ended."""
