-- Learn: let others have the call.
SELECT pg_advisory_unlock(:lock)
