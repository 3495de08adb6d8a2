-- Simulate: fresh statistics for what comes next; without them the planner expects a handful of rows.
ANALYZE liber.exposure, liber.simulated_play;
