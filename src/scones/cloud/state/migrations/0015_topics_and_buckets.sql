-- The number of a FIFO topic's last message.
ALTER TABLE sns_topics ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;

-- What was said to FIFO topics in the last minutes, and is not said again.
CREATE TABLE sns_deduplication (
    topic_name TEXT NOT NULL REFERENCES sns_topics ON DELETE CASCADE,
    scope TEXT NOT NULL,                        -- the message group, or '' for the whole topic
    deduplication_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    published INTEGER NOT NULL,
    PRIMARY KEY (topic_name, scope, deduplication_id)
) WITHOUT ROWID;
CREATE INDEX sns_deduplication_by_age ON sns_deduplication (published);

-- A bucket's own rule of default encryption, JSON; NULL where it never had one.
ALTER TABLE s3_buckets ADD COLUMN encryption TEXT;
