-- Backlog of every stage, for `liber status`, the demo and the dashboard.
SELECT stage, unit, done::bigint, pending::bigint, failed::bigint
FROM liber.pipeline_status
