-- Learn: of several learners one makes a call. A lock ends with the connection, so a killed learner holds none.
SELECT
    lock,
    pg_try_advisory_lock(lock) AS locked
FROM unnest(cast(:locks AS bigint[])) AS asked (lock)
