-- Items: those of some that have no text of this version, or one about an earlier state, and were not set aside; in the
-- order given.
SELECT asked.item_key
FROM unnest(cast(:item_keys AS bigint[])) WITH ORDINALITY AS asked (item_key, place)
INNER JOIN liber.item_coverage(:knowledge_version) AS c ON asked.item_key = c.item_key
WHERE NOT c.learnt AND NOT c.quarantined
ORDER BY asked.place
