-- Define: an experiment of the layer that has some of the same buckets at some of the same time. One that was archived
-- before its start has never run.
SELECT
    name,
    coalesce(lower(slot), 0) AS slot_first,
    coalesce(upper(slot), 10000) AS slot_end,
    starts_at,
    ends_at
FROM liber.experiment
WHERE
    layer = :layer AND name <> :name
    AND coalesce(slot, int4range(0, 10000)) && int4range(coalesce(:slot_first, 0), coalesce(:slot_end, 10000))
    AND starts_at < :ends_at AND ends_at > :starts_at
    AND (archived_at IS NULL OR archived_at > starts_at)
ORDER BY starts_at, name
LIMIT 1;
