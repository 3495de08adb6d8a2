-- Vectors stored since another run last announced: those of a run that failed before it came to it too.
SELECT count(*)
FROM liber.interest_vector
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'vectors' AND run <> :run), '-infinity'
)
