-- SageMaker. Names are unique whatever their case, because ARNs carry them in lower case.
-- Times are milliseconds since the epoch, UTC; `request` is the creating request as JSON.

CREATE TABLE sagemaker_training_jobs (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,      -- jobs run in this order
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    arn TEXT NOT NULL,
    request TEXT NOT NULL,
    phase TEXT NOT NULL,                            -- records.Phase
    status TEXT NOT NULL,                           -- TrainingJobStatus of the phase, to list by
    outcome TEXT,                                   -- where a stopping job ends: records.Phase
    transitions TEXT NOT NULL,                      -- JSON: [[phase, started, ended or null], ...]
    metrics TEXT NOT NULL,                          -- JSON: [[name, value, time], ...]
    failure_reason TEXT,
    attempt INTEGER NOT NULL,                       -- grows with each run from the beginning
    log_stream TEXT NOT NULL,
    has_model INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER
);

CREATE TABLE sagemaker_models (
    name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    arn TEXT NOT NULL,
    request TEXT NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE sagemaker_endpoint_configs (
    name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    arn TEXT NOT NULL,
    request TEXT NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE sagemaker_endpoints (
    name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    arn TEXT NOT NULL,
    status TEXT NOT NULL,                           -- records.EndpointStatus
    deployment TEXT,                                -- JSON: records.Deployment that serves
    pending TEXT,                                   -- JSON: records.Deployment on its way
    failure_reason TEXT,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
);

CREATE TABLE sagemaker_tags (
    arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) WITHOUT ROWID;

-- A capture file and the records that wait to be delivered in it; both go once it is in S3.
CREATE TABLE sagemaker_capture_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL COLLATE NOCASE,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL                               -- fixed by the first record, so a second try overwrites
);

CREATE TABLE sagemaker_captures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL REFERENCES sagemaker_capture_files (id) ON DELETE CASCADE,
    record BLOB NOT NULL
);
CREATE INDEX sagemaker_captures_by_file ON sagemaker_captures (file);
