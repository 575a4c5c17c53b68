-- Of an execution that waits for its map run to redrive it: the status it has until then.
ALTER TABLE sfn_executions ADD COLUMN ended_as TEXT;
