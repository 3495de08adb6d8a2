-- Item knowledge: every item as it is now, and what a version has of it. A text that was made elsewhere has no digest
-- of a state and is kept. The key of a call follows from version, item and state: they are all that its prompt is made
-- of, and all that may change the answer.
CREATE OR REPLACE FUNCTION liber.item_coverage(version text)
RETURNS TABLE (item_key bigint, attributes_sha256 text, call_key text, learnt boolean, quarantined boolean)
LANGUAGE sql
STABLE
AS $$
    SELECT
        c.item_key,
        c.attributes_sha256,
        c.call_key,
        EXISTS (
            SELECT FROM liber.item_knowledge AS k
            WHERE
                k.item_key = c.item_key AND k.knowledge_version = version
                AND coalesce(k.attributes_sha256, c.attributes_sha256) = c.attributes_sha256
        ),
        EXISTS (SELECT FROM liber.llm_call AS l WHERE l.call_key = c.call_key AND l.state = 'quarantined')
    FROM (
        SELECT
            s.item_key,
            s.attributes_sha256,
            encode(sha256(convert_to(
                jsonb_build_array(version, s.item_id, s.attributes_sha256)::text, 'UTF8'
            )), 'hex') AS call_key
        FROM (
            SELECT
                i.item_key,
                i.item_id,
                liber.attributes_sha256(i.title, i.attributes) AS attributes_sha256
            FROM liber.item AS i
        ) AS s
    ) AS c
$$;
