-- EventBridge: buses, rules, their targets, and what is still to be delivered.
-- Times are milliseconds since 1970 UTC; tags and fields are JSON.
CREATE TABLE events_buses (
    name TEXT PRIMARY KEY,
    description TEXT,
    tags TEXT NOT NULL DEFAULT '{}',
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO events_buses (name, created, modified)
VALUES ('default', CAST(strftime('%s', 'now') AS INTEGER) * 1000, CAST(strftime('%s', 'now') AS INTEGER) * 1000);

CREATE TABLE events_rules (
    bus TEXT NOT NULL REFERENCES events_buses,
    name TEXT NOT NULL,
    pattern TEXT,
    schedule TEXT,
    due INTEGER,                                -- when the schedule fires next; NULL while it does not
    state TEXT NOT NULL,
    description TEXT,
    role_arn TEXT,
    tags TEXT NOT NULL,
    PRIMARY KEY (bus, name)
) WITHOUT ROWID;

CREATE INDEX events_rules_by_due ON events_rules (due) WHERE due IS NOT NULL;

CREATE TABLE events_targets (
    bus TEXT NOT NULL,
    rule TEXT NOT NULL,
    target_id TEXT NOT NULL,
    arn TEXT NOT NULL,
    fields TEXT NOT NULL,                       -- the target as it was given
    PRIMARY KEY (bus, rule, target_id),
    FOREIGN KEY (bus, rule) REFERENCES events_rules (bus, name)
) WITHOUT ROWID;
CREATE INDEX events_targets_by_arn ON events_targets (bus, arn, rule);

-- A row is a delivery that has neither succeeded nor been given up; it outlives kill -9, and its rule.
CREATE TABLE events_deliveries (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    rule_arn TEXT NOT NULL,
    target_arn TEXT NOT NULL,
    name TEXT NOT NULL,                         -- of the execution, where the target is a state machine
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    retries INTEGER NOT NULL,                   -- how many there may be after the first attempt
    due INTEGER NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX events_deliveries_by_due ON events_deliveries (due);
CREATE INDEX events_deliveries_by_target ON events_deliveries (target_arn, due);
