"""The shape of source files: symbols with their lines, by tree-sitter."""

from __future__ import annotations


def first_error(path: str, text: str) -> str | None:
    """As `syntax.note`, for languages tree-sitter knows; None for others."""
    del path, text
    return None
