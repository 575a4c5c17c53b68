"""Everything the cloud remembers: one SQLite file and a folder of blobs, owned by one process."""
