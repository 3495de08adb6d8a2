-- Least privilege, run by the schema's owner after `liber init-db`:
-- `liber` owns and writes; `liber_reader` (dashboard, analysts) only reads.
GRANT CONNECT ON DATABASE liber TO liber_reader;
GRANT USAGE ON SCHEMA liber TO liber_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA liber TO liber_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA liber GRANT SELECT ON TABLES TO liber_reader;
-- Whoever reads both can test whether an id that he guesses was erased.
REVOKE ALL ON liber.erasure, liber.erasure_key FROM liber_reader;
