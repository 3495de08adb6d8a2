-- Ingest: the planner believes that a fresh temporary table is nearly empty.
ANALYZE item_codes_stage
