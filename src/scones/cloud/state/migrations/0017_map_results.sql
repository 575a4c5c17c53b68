-- How many executions, and items in them, a map run's results hold.
ALTER TABLE sfn_map_runs ADD COLUMN written_executions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sfn_map_runs ADD COLUMN written_items INTEGER NOT NULL DEFAULT 0;
UPDATE sfn_map_runs SET (written_executions, written_items) = (
    SELECT count(*), coalesce(sum(items), 0) FROM sfn_executions
    WHERE map_run = sfn_map_runs.id AND status = 'SUCCEEDED'
) WHERE status = 'SUCCEEDED';
