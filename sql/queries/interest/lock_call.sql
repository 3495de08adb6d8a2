-- Learn: of several learners one makes a call. The lock ends with the connection, so a killed learner holds none.
SELECT pg_try_advisory_lock(:lock)
