-- Metrics: fresh statistics for the readout; without them the planner expects a handful of rows.
ANALYZE liber.exposure, liber.user_metric_day;
