-- Encode items: what the weighting of words is fitted on: items with a behaviour strictly before the cut (null: all
-- items), those with the most behaviours first, if not all.
WITH seen AS (
    SELECT
        item_key,
        count(*) AS behaviors
    FROM liber.behavior
    WHERE event_time < cast(:cut AS timestamptz)
    GROUP BY item_key
)

SELECT
    i.title,
    i.attributes,
    k.text AS knowledge
FROM liber.item AS i
LEFT JOIN seen AS s ON i.item_key = s.item_key
LEFT JOIN liber.item_knowledge AS k
    ON i.item_key = k.item_key AND k.knowledge_version = cast(:knowledge_version AS text)
WHERE cast(:cut AS timestamptz) IS NULL OR s.behaviors > 0
ORDER BY s.behaviors DESC NULLS LAST, i.item_id ASC
LIMIT :most
