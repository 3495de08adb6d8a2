-- Vectors stored since the last announcement by another run: by whichever run and try, one that failed later included.
SELECT count(*)
FROM liber.interest_vector
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'vectors' AND run <> :run), '-infinity'
)
