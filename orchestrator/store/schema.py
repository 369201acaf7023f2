"""The tables of the journal, and what brings a file of an older format to this one."""

from __future__ import annotations

import re

from servers.state.sqlite import statements

VERSION = 4

_SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,              -- of the agent that remembers by itself; NULL for a conversation
    created_at REAL NOT NULL,      -- seconds since 1970
    title TEXT NOT NULL,
    folder TEXT NOT NULL,
    parent TEXT,                   -- the session this one was forked from
    updated_at REAL NOT NULL,
    model TEXT NOT NULL DEFAULT '',    -- that answered last
    messages INTEGER NOT NULL DEFAULT 0    -- of the conversation, without workers and advisers
);
CREATE INDEX sessions_by_time ON sessions (updated_at);
CREATE TABLE events (              -- the journal: what happened, in order; nothing is changed here
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,            -- of Event; the messages of an `appended` stand in its round
    body TEXT NOT NULL             -- JSON of the Event
);
CREATE INDEX events_of_run ON events (session, run, id);
CREATE TABLE drafts (              -- pieces of answers that are not whole yet; the message takes their place
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT NOT NULL,
    thinking INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX drafts_of_run ON drafts (session, run, id);
CREATE TABLE rounds (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT NOT NULL,
    main INTEGER NOT NULL,         -- 1: part of the conversation; 0: a worker's or adviser's
    agent TEXT NOT NULL,
    model TEXT NOT NULL,
    at REAL NOT NULL,
    usage TEXT NOT NULL,           -- JSON of Usage
    recorded INTEGER NOT NULL,     -- 1: the seconds in usage were not measured
    begun INTEGER NOT NULL         -- the run's first event: what orders runs
);
CREATE INDEX rounds_of_session ON rounds (session, begun, id);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE,
    role TEXT NOT NULL,
    body TEXT NOT NULL,            -- JSON of Message, whole
    text TEXT NOT NULL             -- what is searched: words, tool inputs and outputs
);
CREATE INDEX messages_of_round ON messages (round, id);
CREATE TABLE calls (               -- of models, with what they cost; they outlive the conversation they were made for
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    session TEXT,                  -- NULL: of no kept conversation
    run TEXT,
    agent TEXT NOT NULL,
    role TEXT NOT NULL,
    model TEXT NOT NULL,           -- that was really asked
    labels TEXT NOT NULL,          -- JSON object of strings
    input_tokens INTEGER,          -- NULL: not reported
    cached_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,                 -- NULL: not known
    seconds REAL,
    error TEXT                     -- NULL: it was answered
);
CREATE INDEX calls_by_time ON calls (at);
CREATE INDEX calls_of_session ON calls (session);
CREATE TABLE set_aside (           -- what calls under way may cost at most, so that processes share a budget
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    session TEXT,
    labels TEXT NOT NULL,
    usd REAL NOT NULL
);
CREATE TABLE memories (            -- what agents remember beyond their conversations
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,       -- of agent and text
    agent TEXT NOT NULL,
    at REAL NOT NULL,
    text TEXT NOT NULL,
    importance REAL NOT NULL,      -- 0 to 1
    metadata TEXT NOT NULL         -- JSON object
);
CREATE INDEX memories_of_agent ON memories (agent, at);
CREATE TABLE vectors (
    memory INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    model TEXT NOT NULL,           -- that made it; only vectors of one model are compared
    size INTEGER NOT NULL,
    vector BLOB NOT NULL,          -- 32-bit floats
    PRIMARY KEY (memory, model)
);
CREATE VIRTUAL TABLE remembered USING fts5 (text, content='memories', content_rowid='number', tokenize='porter unicode61');
CREATE TRIGGER memories_added AFTER INSERT ON memories BEGIN
    INSERT INTO remembered (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER memories_gone AFTER DELETE ON memories BEGIN
    INSERT INTO remembered (remembered, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE VIRTUAL TABLE found USING fts5 (text, content='messages', content_rowid='id', prefix='1 2 3');
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
    INSERT INTO found (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER messages_gone AFTER DELETE ON messages BEGIN
    INSERT INTO found (found, rowid, text) VALUES ('delete', old.id, old.text);
END;
"""

_FROM_1 = """
ALTER TABLE sessions ADD COLUMN updated_at REAL NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE rounds SET begun = (SELECT min(r.id) FROM rounds AS r WHERE r.session = rounds.session AND r.run = rounds.run);
UPDATE sessions SET
    updated_at = coalesce((SELECT max(at) FROM rounds WHERE session = sessions.id), created_at),
    model = coalesce((SELECT model FROM rounds WHERE session = sessions.id AND main ORDER BY id DESC LIMIT 1), ''),
    messages = (SELECT count(*) FROM rounds JOIN messages ON round = rounds.id WHERE session = sessions.id AND main);
DROP INDEX rounds_of_session;
DROP TRIGGER messages_added;
DROP TRIGGER messages_gone;
DROP TABLE found;
"""
"""What a file of format 1 needs before the statements of today make what it lacks."""
_FROM_2 = """
INSERT INTO calls (at, session, run, agent, role, model, labels, input_tokens, cached_tokens, output_tokens, cost_usd)
SELECT at, session, run, agent, CASE WHEN main THEN 'lead' ELSE 'worker' END, model, '{}',
    json_extract(usage, '$.input_tokens'), json_extract(usage, '$.cached_tokens'),
    json_extract(usage, '$.output_tokens'), json_extract(usage, '$.cost_usd')
FROM rounds WHERE usage != '{}';
"""
_IN_1 = ("sessions", "rounds", "messages", "messages_of_round")
_NEW_IN_3 = ("calls", "calls_by_time", "calls_of_session", "set_aside")
_NEW_IN_4 = ("memories", "memories_of_agent", "vectors", "remembered", "memories_added", "memories_gone")
_MADE = re.compile(r"CREATE (?:VIRTUAL )?(?:TABLE|INDEX|TRIGGER) (\w+)")


def tables() -> list[str]:
    """The statements that make a new file."""
    return statements(_SCHEMA)


def steps() -> list[list[str]]:
    """The statements that bring a file from format 1 to 2, and so on."""
    return [_to_2(), _to_3(), _to_4()]


def _to_2() -> list[str]:
    """What brings a file of format 1 to format 2; its messages keep their numbers, its events begin behind its rounds."""
    return [
        *statements(_FROM_1),
        *(statement for name, statement in _made().items() if name not in (*_IN_1, *_NEW_IN_3, *_NEW_IN_4)),
        "INSERT INTO found (found) VALUES ('rebuild')",
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'events', coalesce(max(id), 0) FROM rounds",
    ]


def _to_3() -> list[str]:
    """What brings a file of format 2 to format 3."""
    return [*(_made()[name] for name in _NEW_IN_3), *statements(_FROM_2)]


def _to_4() -> list[str]:
    return [_made()[name] for name in _NEW_IN_4]


def _made() -> dict[str, str]:
    """The statements of the schema by the name of what they make."""
    return {made[1]: each for each in statements(_SCHEMA) if (made := _MADE.search(each))}
