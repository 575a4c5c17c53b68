ALTER TABLE sfn_executions ADD COLUMN redrive_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sfn_executions ADD COLUMN redriven_ms INTEGER;     -- NULL: never

-- Under which token each redrive was asked for, so that asking again does not redrive again.
CREATE TABLE sfn_redrives (
    execution INTEGER NOT NULL REFERENCES sfn_executions (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    client_token TEXT,
    redriven_ms INTEGER NOT NULL,
    PRIMARY KEY (execution, number)
) WITHOUT ROWID;
