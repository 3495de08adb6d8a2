-- Ingest: items of the stage, the last row of an item wins; an item that says the same is left alone.
-- Returns how many were new or changed. A trigger keeps the state that is replaced (liber.item_past).
WITH newest AS (
    SELECT DISTINCT ON (s.item_id)
        s.item_id,
        s.title,
        s.attributes
    FROM items_stage AS s
    ORDER BY s.item_id ASC, s.line DESC
),

changed AS (
    INSERT INTO liber.item AS i (item_id, title, attributes)
    SELECT
        n.item_id,
        n.title,
        n.attributes
    FROM newest AS n
    ORDER BY n.item_id
    ON CONFLICT (item_id) DO UPDATE
        SET title = excluded.title, attributes = excluded.attributes, updated_at = now()
        WHERE (i.title, i.attributes) IS DISTINCT FROM (excluded.title, excluded.attributes)
    RETURNING i.item_key
)

SELECT count(*) AS accepted FROM changed
