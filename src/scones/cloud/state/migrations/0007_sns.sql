-- SNS: topics, who listens, what was said, and what is still to be delivered.
-- Times are milliseconds since 1970 UTC; attributes, tags and bodies are JSON.
CREATE TABLE sns_topics (
    topic_name TEXT PRIMARY KEY,
    attributes TEXT NOT NULL,
    tags TEXT NOT NULL,
    unsubscribed INTEGER NOT NULL DEFAULT 0     -- how many subscriptions have gone
) WITHOUT ROWID;

CREATE TABLE sns_subscriptions (
    subscription_id TEXT PRIMARY KEY,
    topic_name TEXT NOT NULL REFERENCES sns_topics ON DELETE CASCADE,
    protocol TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    raw INTEGER NOT NULL,
    token TEXT,                                 -- NULL once confirmed
    UNIQUE (topic_name, protocol, endpoint)
) WITHOUT ROWID;

CREATE TABLE sns_messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    topic_name TEXT NOT NULL,
    subject TEXT,
    message TEXT NOT NULL,
    attributes TEXT NOT NULL,
    published INTEGER NOT NULL
);

-- A row is a delivery that has neither succeeded nor been given up; it outlives kill -9.
CREATE TABLE sns_deliveries (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription_id TEXT NOT NULL REFERENCES sns_subscriptions ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    kind TEXT NOT NULL,                         -- Notification or SubscriptionConfirmation
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL
);
CREATE INDEX sns_deliveries_by_due ON sns_deliveries (due);
CREATE INDEX sns_deliveries_by_subscription ON sns_deliveries (subscription_id, due);
