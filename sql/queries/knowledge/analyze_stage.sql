-- Import: without it the planner expects few rows in the stage and joins badly.
ANALYZE knowledge_stage
