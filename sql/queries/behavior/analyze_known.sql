-- Ingest: the planner believes that a fresh temporary table is nearly empty.
ANALYZE known_stage
