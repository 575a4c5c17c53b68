CREATE TABLE log_groups (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL,           -- milliseconds since the epoch, as every time here
    class TEXT NOT NULL,
    tags TEXT NOT NULL                  -- JSON object
) WITHOUT ROWID;

CREATE TABLE log_streams (
    id INTEGER PRIMARY KEY,
    group_name TEXT NOT NULL REFERENCES log_groups (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    first_event INTEGER,
    last_event INTEGER,
    last_ingestion INTEGER,
    events INTEGER NOT NULL DEFAULT 0,  -- how many it ever got: the next event's sequence, less one
    size INTEGER NOT NULL DEFAULT 0,    -- bytes of their messages
    UNIQUE (group_name, name)
);

CREATE TABLE log_events (
    stream_id INTEGER NOT NULL REFERENCES log_streams (id) ON DELETE CASCADE,
    timestamp INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    ingested INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (stream_id, timestamp, sequence)
) WITHOUT ROWID;
