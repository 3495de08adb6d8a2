-- Init-db: one at a time re-creates functions and views, until its commit.
SELECT pg_advisory_xact_lock(20261123, 0)
