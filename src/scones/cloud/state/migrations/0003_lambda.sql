CREATE TABLE lambda_functions (
    name TEXT PRIMARY KEY,
    last_version INTEGER NOT NULL DEFAULT 0,
    reserved_concurrency INTEGER,       -- NULL: the function shares the account's
    tags TEXT NOT NULL,                 -- JSON object
    policy TEXT NOT NULL                -- JSON object: statement id -> statement
) WITHOUT ROWID;

CREATE TABLE lambda_versions (
    function TEXT NOT NULL REFERENCES lambda_functions (name) ON DELETE CASCADE,
    version TEXT NOT NULL,              -- "$LATEST" or a number
    number INTEGER NOT NULL,            -- 0 for $LATEST
    state TEXT NOT NULL,
    update_status TEXT NOT NULL,
    revision_id TEXT NOT NULL,
    generation TEXT NOT NULL,           -- changes with code and configuration; names the workers' pool
    modified TEXT NOT NULL,
    code TEXT NOT NULL,                 -- SHA-256 of the archive in hexadecimal: its folder's name
    code_size INTEGER NOT NULL,
    configuration TEXT NOT NULL,        -- JSON object with AWS's members
    PRIMARY KEY (function, version)
) WITHOUT ROWID;

-- Invocations that were accepted and answered 202, and are not done yet.
CREATE TABLE lambda_events (
    id TEXT PRIMARY KEY,                -- the request id
    function TEXT NOT NULL REFERENCES lambda_functions (name) ON DELETE CASCADE,
    version TEXT NOT NULL,
    payload BLOB NOT NULL,
    client_context TEXT NOT NULL,
    accepted REAL NOT NULL,             -- seconds since the epoch
    due REAL NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX lambda_events_due ON lambda_events (due);
