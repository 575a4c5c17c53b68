ALTER TABLE sfn_machines ADD COLUMN last_version INTEGER NOT NULL DEFAULT 0;  -- numbers are never used again
ALTER TABLE sfn_machines ADD COLUMN logging TEXT NOT NULL DEFAULT '{}';       -- as it was given, JSON
ALTER TABLE sfn_machines ADD COLUMN encryption TEXT NOT NULL DEFAULT '{}';    -- as it was given, JSON
ALTER TABLE sfn_executions ADD COLUMN version INTEGER;                        -- NULL: started unqualified
ALTER TABLE sfn_executions ADD COLUMN alias TEXT;

CREATE TABLE sfn_versions (
    machine INTEGER NOT NULL REFERENCES sfn_machines (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL,      -- sfn_revisions.id
    description TEXT,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (machine, number)
) WITHOUT ROWID;

CREATE TABLE sfn_aliases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine INTEGER NOT NULL REFERENCES sfn_machines (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    routing TEXT NOT NULL,          -- JSON list of [version number, weight]
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (machine, name)
);
