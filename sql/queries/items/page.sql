-- Items: what the prompts of some items show, and what names their calls, in the order given.
SELECT
    i.item_key,
    i.item_id,
    coalesce(i.title, i.item_id) AS title,
    i.attributes,
    c.attributes_sha256,
    c.call_key
FROM unnest(cast(:item_keys AS bigint[])) WITH ORDINALITY AS asked (item_key, place)
INNER JOIN liber.item AS i ON asked.item_key = i.item_key
INNER JOIN liber.item_coverage(:knowledge_version) AS c ON i.item_key = c.item_key
ORDER BY asked.place
