-- Least privilege: run by the database's administrator, after `liber init-db`. psql variables: none.
-- `liber` owns and writes; `liber_reader` (dashboard, analysts) only reads.
GRANT USAGE ON SCHEMA liber TO liber_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA liber TO liber_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE liber IN SCHEMA liber GRANT SELECT ON TABLES TO liber_reader;
