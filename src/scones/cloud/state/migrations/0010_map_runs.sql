CREATE TABLE sfn_map_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    execution INTEGER NOT NULL REFERENCES sfn_executions (id) ON DELETE CASCADE,
    task INTEGER NOT NULL,          -- of the execution's machine
    state TEXT NOT NULL,            -- the Map's name: unique in its whole definition
    label TEXT NOT NULL,
    express INTEGER NOT NULL,
    status TEXT NOT NULL,
    max_concurrency INTEGER NOT NULL,
    tolerated_count INTEGER,
    tolerated_percentage REAL,
    items INTEGER,                  -- how many there are, once that is known
    etag TEXT,                      -- of the object the items are read from
    last_key TEXT,                  -- of a listing: the last one that an execution was given
    started_ms INTEGER NOT NULL,
    stopped_ms INTEGER,
    redrive_count INTEGER NOT NULL DEFAULT 0,
    redriven_ms INTEGER,            -- NULL: never
    UNIQUE (execution, task)
);

-- Of an execution that a map run began: the run, its number there, and how many items it was given.
ALTER TABLE sfn_executions ADD COLUMN map_run INTEGER REFERENCES sfn_map_runs (id) ON DELETE CASCADE;
ALTER TABLE sfn_executions ADD COLUMN child INTEGER;
ALTER TABLE sfn_executions ADD COLUMN items INTEGER;
CREATE INDEX sfn_executions_map_run ON sfn_executions (map_run, status, child, items)
    WHERE map_run IS NOT NULL;

-- What a state machine lists are the executions that people began.
DROP INDEX sfn_executions_machine;
CREATE INDEX sfn_executions_machine ON sfn_executions (machine, id) WHERE map_run IS NULL;
