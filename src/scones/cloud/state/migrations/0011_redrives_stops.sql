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

-- Executions and jobs that are to be stopped because nobody waits for them any more. A row is written
-- with the turn that gave them up, and goes when they have been told; its execution may go before.
CREATE TABLE sfn_stops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution INTEGER NOT NULL,
    task INTEGER NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    parameters TEXT NOT NULL,
    submitted TEXT NOT NULL,        -- empty: it was asked for, and the service's reply is not known
    name TEXT NOT NULL,             -- of an execution whose task gave none
    asked_ms INTEGER NOT NULL
);
