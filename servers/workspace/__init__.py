"""The folders a server may touch: reading beneath them, and the one path by which anything in them changes."""
