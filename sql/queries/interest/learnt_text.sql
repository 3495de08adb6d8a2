-- Reproduce: a stored text, what it was made with, and when its call was claimed (its inputs were read before that).
-- Of several knowledge versions the newest, unless one is named.
SELECT
    u.user_key,
    i.knowledge_version,
    i.input_sha256,
    i.text,
    i.left_out,
    k.model,
    k.parameters,
    k.recipe,
    coalesce(
        (
            SELECT max(l.started_at)
            FROM liber.llm_call AS l
            WHERE
                l.user_key = i.user_key AND l.partition_no = i.partition_no AND l.kind = i.kind
                AND l.knowledge_version = i.knowledge_version AND l.state = 'done'
        ),
        i.created_at
    ) AS asked_at
FROM liber.user_profile AS u
INNER JOIN liber.interest AS i ON u.user_key = i.user_key
INNER JOIN liber.knowledge_version AS k ON i.knowledge_version = k.knowledge_version
WHERE
    u.user_id = :user_id
    AND i.partition_no = :partition_no
    AND i.kind = cast(:kind AS liber.interest_kind)
    AND i.knowledge_version = coalesce(cast(:knowledge_version AS text), i.knowledge_version)
ORDER BY k.created_at DESC, i.knowledge_version ASC
LIMIT 1
