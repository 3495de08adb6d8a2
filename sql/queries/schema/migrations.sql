-- Init-db: migrations that were applied.
SELECT version FROM public.schema_migrations
