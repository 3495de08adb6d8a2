-- Partitions sealed since another run last announced: those of a run that failed before it came to it too.
SELECT count(*)
FROM liber.behavior_partition
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'partitions' AND run <> :run), '-infinity'
)
