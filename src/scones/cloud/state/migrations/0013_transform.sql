-- Batch transform jobs. A job that is InProgress and not at work waits, in the order of `ordinal`.
-- Times are milliseconds since the epoch, UTC; `request` is CreateTransformJob's as JSON.
CREATE TABLE sagemaker_transform_jobs (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL,
    request TEXT NOT NULL,
    container TEXT NOT NULL,                        -- JSON: the model's container when the job was created
    status TEXT NOT NULL,
    failure_reason TEXT,
    attempt INTEGER NOT NULL,                       -- grows with each run from the beginning
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER
);
CREATE INDEX sagemaker_transform_jobs_unfinished ON sagemaker_transform_jobs (ordinal)
    WHERE status IN ('InProgress', 'Stopping');
