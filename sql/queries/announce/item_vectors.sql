-- Vectors of items stored since the last announcement by another run: by whichever run and try, one that failed later included.
SELECT count(*)
FROM liber.item_vector
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'item_vectors' AND run <> :run), '-infinity'
)
