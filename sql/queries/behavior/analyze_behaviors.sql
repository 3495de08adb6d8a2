-- Ingest: without it the planner expects one row in the stage and joins badly.
ANALYZE behaviors_stage
