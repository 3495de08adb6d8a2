-- Vectors of items stored since a run began, by whichever of its tries.
SELECT count(*)
FROM liber.item_vector
WHERE created_at >= :since
