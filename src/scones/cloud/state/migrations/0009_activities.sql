-- Which tasks wait for a worker is not kept here: the journals of the executions tell.
CREATE TABLE sfn_activities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    encryption TEXT NOT NULL        -- as it was given, JSON
);

CREATE TABLE sfn_activity_tags (
    activity INTEGER NOT NULL REFERENCES sfn_activities (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (activity, key)
) WITHOUT ROWID;
