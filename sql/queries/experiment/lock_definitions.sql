-- Define: one at a time, so that two cannot take the same slot or name. A statement of its own, so that what follows
-- sees what the other wrote.
SELECT pg_advisory_xact_lock(20261129, 2);
