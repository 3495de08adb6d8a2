-- Partitions sealed since a run began, by whichever of its tries.
SELECT count(*)
FROM liber.behavior_partition
WHERE created_at >= :since
