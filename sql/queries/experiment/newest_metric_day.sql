-- Metrics: the last day materialised; null before the first.
SELECT max(day) FROM liber.user_metric_day WHERE experiment_key = :experiment_key;
