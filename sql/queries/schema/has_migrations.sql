-- Init-db: whether any release was here before.
SELECT to_regclass('public.schema_migrations') IS NOT NULL AS found
