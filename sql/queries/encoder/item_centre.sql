-- Encode items: freeze the centre of an encoder's vectors, once: their mean over items with a behaviour strictly before
-- the cut (null: over all items). No row where there are fewer than two.
UPDATE liber.item_encoder AS e
SET centre = f.centre, fitted_items = f.items, fitted_before = cast(:cut AS timestamptz)
FROM (
    SELECT
        avg(v.vector) AS centre,
        count(*) AS items
    FROM liber.item_vector AS v
    WHERE
        v.encoder_version = :encoder_version
        AND (
            cast(:cut AS timestamptz) IS NULL
            OR v.item_key IN (SELECT b.item_key FROM liber.behavior AS b WHERE b.event_time < cast(:cut AS timestamptz))
        )
) AS f
WHERE e.encoder_version = :encoder_version AND e.centre IS NULL AND f.items > 1
