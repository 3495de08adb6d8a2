-- Items that are new or changed since another run last announced: those of a run that failed before it came to it too.
SELECT count(*)
FROM liber.item
WHERE updated_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'items' AND run <> :run), '-infinity'
)
