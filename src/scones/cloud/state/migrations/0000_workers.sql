-- Child processes that may outlive a killed cloud; the next start ends them.
CREATE TABLE workers (
    pid INTEGER NOT NULL,
    started REAL NOT NULL,      -- the process's own start time, so that a reused pid is not mistaken
    purpose TEXT NOT NULL,
    PRIMARY KEY (pid, started)
) WITHOUT ROWID;
