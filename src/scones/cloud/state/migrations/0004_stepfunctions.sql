CREATE TABLE sfn_machines (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    revision INTEGER NOT NULL,      -- sfn_revisions.id of the current one
    created_ms INTEGER NOT NULL,
    tracing INTEGER NOT NULL
);

-- What an execution runs is fixed when it starts: a revision is never changed, nor its id used again.
CREATE TABLE sfn_revisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine INTEGER NOT NULL REFERENCES sfn_machines (id) ON DELETE CASCADE,
    revision_id TEXT,               -- NULL until the first update
    definition TEXT NOT NULL,
    role_arn TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);
CREATE INDEX sfn_revisions_machine ON sfn_revisions (machine);

CREATE TABLE sfn_tags (
    machine INTEGER NOT NULL REFERENCES sfn_machines (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (machine, key)
) WITHOUT ROWID;

CREATE TABLE sfn_executions (
    id INTEGER PRIMARY KEY,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    machine INTEGER NOT NULL REFERENCES sfn_machines (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,      -- sfn_revisions.id when it started
    status TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT,
    error TEXT,
    cause TEXT,
    started_ms INTEGER NOT NULL,
    stopped_ms INTEGER,
    seed TEXT NOT NULL,             -- of the execution's random numbers
    trace_header TEXT
);
CREATE INDEX sfn_executions_machine ON sfn_executions (machine, id);
CREATE INDEX sfn_executions_running ON sfn_executions (machine, id) WHERE status = 'RUNNING';

-- One row per turn of the machine: what it was told and when, and the events that followed.
CREATE TABLE sfn_turns (
    execution INTEGER NOT NULL REFERENCES sfn_executions (id) ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    stimuli TEXT NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (execution, turn)
) WITHOUT ROWID;
