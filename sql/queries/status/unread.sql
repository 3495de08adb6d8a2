-- Status: vectors written since a model was trained, at most a month back, by index; and since when.
SELECT count(*) AS n, min(created_at) AS since
FROM liber.interest_vector
WHERE created_at > greatest(cast(:since AS timestamptz), now() - interval '30 days')
