-- Reproduce: a stored text about an item, what it was made with, when its call was claimed, and the item's title and
-- attributes in the state that was asked about (null: that state was not kept). Of several versions the newest, unless
-- one is named.
SELECT
    k.knowledge_version,
    k.attributes_sha256,
    k.input_sha256,
    k.text,
    v.model,
    v.parameters,
    v.recipe,
    state.attributes,
    coalesce(state.title, i.item_id) AS title,
    coalesce(
        (
            SELECT max(l.started_at)
            FROM liber.llm_call AS l
            WHERE
                l.item_key = k.item_key AND l.knowledge_version = k.knowledge_version AND l.state = 'done'
        ),
        k.created_at
    ) AS asked_at
FROM liber.item AS i
INNER JOIN liber.item_knowledge AS k ON i.item_key = k.item_key
INNER JOIN liber.knowledge_version AS v ON k.knowledge_version = v.knowledge_version
LEFT JOIN LATERAL (
    SELECT s.title, s.attributes
    FROM (
        SELECT i.title, i.attributes
        UNION ALL
        SELECT p.title, p.attributes
        FROM liber.item_past AS p
        WHERE p.item_key = i.item_key
    ) AS s
    WHERE liber.attributes_sha256(s.title, s.attributes) = k.attributes_sha256
    ORDER BY s.title
    LIMIT 1
) AS state ON true
WHERE
    i.item_id = :item_id
    AND k.knowledge_version = coalesce(cast(:knowledge_version AS text), k.knowledge_version)
ORDER BY v.created_at DESC, k.knowledge_version ASC
LIMIT 1
