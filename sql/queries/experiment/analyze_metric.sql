-- Metrics: fresh statistics after the first fill; without them the planner expects a handful of rows.
ANALYZE liber.exposure, liber.user_metric_day, liber.user_metric, liber.user_custom_day;
