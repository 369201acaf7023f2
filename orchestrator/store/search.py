"""Messages that hold all the words of a query."""

from __future__ import annotations

import re

from ..sanitize import one_line
from .database import Database, StoreError
from .records import Found

MAX_RANKED = 2_000  # matches up to which a search puts the best first; of more, the newest come first


def search(database: Database, query: str, limit: int = 20) -> list[Found]:
    """Messages that hold all the words; the last word may be unfinished. Raises StoreError.

    The best first, or, where more than MAX_RANKED hold them, the newest: to rank them takes seconds then.
    """
    words = re.findall(r"\w+", query)
    if not words:
        raise StoreError(f"wanted words to look for, found {one_line(query, 40)!r}")
    matching = " ".join(f'"{word}"' for word in words) + "*"
    many = "SELECT count(*) FROM (SELECT 1 FROM found WHERE found MATCH ? LIMIT ?)"
    ranked = database.read(many, matching, MAX_RANKED + 1)[0][0] <= MAX_RANKED
    rows = database.read(
        "SELECT session, title, at, messages.role, rounds.model, excerpt FROM"
        " (SELECT rowid AS id, snippet(found, 0, '', '', '...', 16) AS excerpt FROM found WHERE found MATCH ?"
        f"  ORDER BY {'rank' if ranked else 'rowid DESC'} LIMIT ?) AS hits"
        " CROSS JOIN messages ON messages.id = hits.id JOIN rounds ON rounds.id = messages.round"
        " JOIN sessions ON sessions.id = session",
        matching,
        limit,
    )
    return [
        Found(session=s, title=t, at=at, role=role, model=model, excerpt=one_line(text, 200))
        for s, t, at, role, model, text in rows
    ]
