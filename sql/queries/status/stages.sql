-- Status: backlog of every stage that the database knows, in the order of the journey.
SELECT stage, unit, done::bigint, pending::bigint, failed::bigint
FROM liber.pipeline_status
