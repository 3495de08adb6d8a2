-- Restore: whether MLflow ever made its tables in this database.
SELECT to_regclass('public.trace_info') IS NOT NULL AS found
