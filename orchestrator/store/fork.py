"""The beginning of a conversation once more, as the beginning of another."""

from __future__ import annotations

from .database import Database
from .open_runs import unended
from .records import Kept
from .rounds import insert


def copy_rounds(database: Database, kept: Kept, new: str, rounds: int | None) -> None:
    """Give the conversation `new` the first `rounds` rounds of `kept`; None: all."""
    most = -1 if rounds is None else max(rounds, 0)
    chosen = "SELECT id FROM rounds WHERE session = ? AND main ORDER BY begun, id LIMIT ?"
    with database.writing() as writing:
        unfinished = unended(database, kept.id)
        base = int(writing.execute("SELECT coalesce(max(id), 0) FROM rounds").fetchone()[0])
        # The tokens of these rounds were spent there, not here.
        writing.execute(
            "INSERT INTO rounds (id, session, run, main, agent, model, at, usage, recorded, begun)"
            " SELECT ? + row_number() OVER (ORDER BY begun, id), ?, run, main, agent, model, at, '{}', recorded,"
            f" begun FROM rounds WHERE id IN ({chosen})",
            (base, new, kept.id, most),
        )
        added = writing.execute(
            "INSERT INTO messages (round, role, body, text) SELECT copies.id, role, body, messages.text"
            f" FROM (SELECT id, row_number() OVER (ORDER BY begun, id) AS place FROM rounds WHERE id IN ({chosen}))"
            " AS chosen JOIN messages ON messages.round = chosen.id"
            " JOIN rounds AS copies ON copies.id = ? + chosen.place ORDER BY chosen.place, messages.id",
            (kept.id, most, base),
        ).rowcount
        for run in unfinished:  # there it may go on; here it is as whole as it will be
            whole = "SELECT max(id), count(*) = (SELECT count(*) FROM rounds WHERE session = ?1 AND run = ?3)"
            last, all_of_it = writing.execute(
                f"{whole} FROM rounds WHERE session = ?2 AND run = ?3", (kept.id, new, run.run)
            ).fetchone()
            if last is not None and all_of_it:
                insert(writing, last, run.closing)
                added += len(run.closing)
        writing.execute("UPDATE sessions SET messages = ?, model = ? WHERE id = ?", (added, kept.model, new))
