-- S3: buckets, their objects, and the parts of uploads still going on.
-- Keys are UTF-8 bytes, so that SQLite's order is S3's. Times are milliseconds since 1970 UTC.
-- A body lies in `data` (small) or in the blob named by `blob`, never in both; `data` comes last, so
-- that listings need not read past it.
CREATE TABLE s3_buckets (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE s3_objects (
    bucket TEXT NOT NULL REFERENCES s3_buckets,
    key BLOB NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,                     -- without its quotes
    modified INTEGER NOT NULL,
    storage_class TEXT NOT NULL,
    checksum_algorithm TEXT,
    checksum TEXT,                          -- base64, with "-N" where composite
    checksum_type TEXT,                     -- FULL_OBJECT or COMPOSITE
    properties TEXT NOT NULL,               -- JSON: what PutObject was told and GetObject tells again
    part_sizes TEXT,                        -- JSON list of bytes, for an object uploaded in parts
    blob TEXT,
    data BLOB,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE INDEX s3_objects_by_blob ON s3_objects (blob) WHERE blob IS NOT NULL;

CREATE TABLE s3_uploads (
    upload_id TEXT PRIMARY KEY,             -- ids sort by the time they were given out
    bucket TEXT NOT NULL REFERENCES s3_buckets,
    key BLOB NOT NULL,
    initiated INTEGER NOT NULL,
    storage_class TEXT NOT NULL,
    checksum_algorithm TEXT,
    checksum_type TEXT,
    properties TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX s3_uploads_by_key ON s3_uploads (bucket, key, upload_id);

CREATE TABLE s3_parts (
    upload_id TEXT NOT NULL REFERENCES s3_uploads ON DELETE CASCADE,
    part_number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    checksum TEXT,                          -- base64, by the upload's algorithm
    blob TEXT,
    data BLOB,
    PRIMARY KEY (upload_id, part_number)
) WITHOUT ROWID;
