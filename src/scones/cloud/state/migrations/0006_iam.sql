-- The account's identities: IAM's roles and policies, and the credentials STS gave out for them.
-- Times are milliseconds since 1970 UTC; documents and tags are JSON.
CREATE TABLE iam_roles (
    role_name TEXT PRIMARY KEY COLLATE NOCASE,  -- AWS refuses names that differ by case alone
    role_id TEXT NOT NULL,
    arn TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    trust_document TEXT NOT NULL,
    description TEXT,
    max_session_s INTEGER NOT NULL,
    boundary_arn TEXT,
    created INTEGER NOT NULL,
    tags TEXT NOT NULL,
    assumed_by_default INTEGER NOT NULL         -- 1: callers without temporary credentials appear as this role
) WITHOUT ROWID;

CREATE TABLE iam_role_policies (
    role_name TEXT NOT NULL COLLATE NOCASE REFERENCES iam_roles,
    policy_name TEXT NOT NULL COLLATE NOCASE,
    document TEXT NOT NULL,
    PRIMARY KEY (role_name, policy_name)
) WITHOUT ROWID;

CREATE TABLE iam_policies (
    arn TEXT PRIMARY KEY,
    policy_name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    policy_id TEXT NOT NULL,
    path TEXT NOT NULL,
    document TEXT NOT NULL,
    description TEXT,
    created INTEGER NOT NULL,
    tags TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE iam_attachments (
    role_name TEXT NOT NULL COLLATE NOCASE REFERENCES iam_roles,
    policy_arn TEXT NOT NULL,                   -- AWS's own policies have no row in iam_policies
    PRIMARY KEY (role_name, policy_arn)
) WITHOUT ROWID;
CREATE INDEX iam_attachments_by_policy ON iam_attachments (policy_arn);

CREATE TABLE sts_sessions (
    access_key TEXT PRIMARY KEY,
    secret_key TEXT NOT NULL,
    session_token TEXT NOT NULL,
    arn TEXT NOT NULL,
    user_id TEXT NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sts_sessions_by_expiry ON sts_sessions (expires);
