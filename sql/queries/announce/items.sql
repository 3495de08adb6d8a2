-- Items that are new or changed since the last announcement by another run: by whichever run and try, one that failed later included.
SELECT count(*)
FROM liber.item
WHERE updated_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'items' AND run <> :run), '-infinity'
)
