-- Status: one counts at a time; false: another does.
SELECT pg_try_advisory_xact_lock(20261123, 8)
