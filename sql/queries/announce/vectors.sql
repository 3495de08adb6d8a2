-- Vectors stored since a run began, by whichever of its tries.
SELECT count(*)
FROM liber.interest_vector
WHERE created_at >= :since
