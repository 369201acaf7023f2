"""Git in repositories nobody vouches for: what they configure runs nothing, what they name is checked."""
