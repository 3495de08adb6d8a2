-- Ingest: the planner believes that a fresh temporary table is nearly empty.
ANALYZE user_codes_stage
