-- Items that are new or changed since a run began, by whichever of its tries.
SELECT count(*) AS rows
FROM liber.item
WHERE updated_at >= :since
