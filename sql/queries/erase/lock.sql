-- Erase: alone. Waits for every transaction that can bring a user in (erase/hold_off), and they wait for this one.
-- A statement of its own, so that what follows sees what they wrote.
SELECT pg_advisory_xact_lock(20261123, 5)
