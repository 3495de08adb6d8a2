-- Whoever may bring a user in (ingest, the trigger on liber.exposure) keeps erasures out until its commit; many may at
-- once. A statement of its own, so that what follows sees who was erased meanwhile.
SELECT pg_advisory_xact_lock_shared(20261123, 5)
