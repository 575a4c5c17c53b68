-- Processing jobs. A job that is InProgress and not at work waits, in the order of `ordinal`.
-- Times are milliseconds since the epoch, UTC; `request` is CreateProcessingJob's as JSON.
CREATE TABLE sagemaker_processing_jobs (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL,
    request TEXT NOT NULL,
    status TEXT NOT NULL,
    failure_reason TEXT,
    exit_message TEXT,
    attempt INTEGER NOT NULL,                       -- grows with each run from the beginning
    processed INTEGER,                              -- the attempt whose outputs only need to be stored
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER
);
CREATE INDEX sagemaker_processing_jobs_unfinished ON sagemaker_processing_jobs (ordinal)
    WHERE status IN ('InProgress', 'Stopping');
