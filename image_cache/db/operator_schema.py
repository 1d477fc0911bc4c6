"""Schema of what operators have: alerts that were sent, and the log of actions."""

ALERTS = """
-- One row: which verdict of the health checks was announced last, since when it is not healthy, and what was seen last.
CREATE TABLE alert_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    announced TEXT NOT NULL DEFAULT 'healthy',
    trouble_at REAL NOT NULL DEFAULT 0,
    seen TEXT NOT NULL DEFAULT 'healthy',
    seen_at REAL NOT NULL DEFAULT 0
);
INSERT INTO alert_state (id) VALUES (1);

-- One row for each message to each destination; these are in a file of their own, because they hold secrets.
CREATE TABLE alert_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    event TEXT NOT NULL,
    text TEXT NOT NULL,
    facts TEXT NOT NULL,  -- JSON
    created_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
    tries INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,  -- while it is being sent: when that began
    ended_at REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX alert_messages_open ON alert_messages (due_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX alert_messages_of_destination ON alert_messages (destination, id);
"""

ACTIONS = """
-- Who did what, for operators. `who` is a name and no reference: a line outlives its account.
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    place TEXT NOT NULL DEFAULT '',
    address TEXT NOT NULL DEFAULT '',
    is_short INTEGER NOT NULL DEFAULT 0,  -- whether the address was shortened
    count INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX actions_in_time ON actions (at, id);
"""
