-- Partitions sealed since the last announcement by another run: by whichever run and try, one that failed later included.
SELECT count(*)
FROM liber.behavior_partition
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'partitions' AND run <> :run), '-infinity'
)
