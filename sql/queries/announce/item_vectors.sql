-- Vectors of items stored since another run last announced: those of a run that failed before it came to it too.
SELECT count(*)
FROM liber.item_vector
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'item_vectors' AND run <> :run), '-infinity'
)
