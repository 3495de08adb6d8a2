-- Learn: let others have the calls.
SELECT pg_advisory_unlock(lock)
FROM unnest(cast(:locks AS bigint[])) AS held (lock)
