-- Learn: write down that calls are about to be made; no row for one whose text exists or that was set aside, or whose
-- partition was erased meanwhile, or is too old to keep a text of. The locks make an erasure wait for this transaction,
-- so that it finds what is written here; everybody takes them in the order of partitions.
INSERT INTO liber.llm_call AS l (
    call_key, user_key, partition_no, kind, knowledge_version, state, run_id, prompt_characters
)
SELECT
    c.call_key,
    p.user_key,
    p.partition_no,
    c.kind,
    :knowledge_version,
    'running',
    :run_id,
    c.prompt_characters
FROM
    unnest(
        cast(:call_keys AS text[]),
        cast(:user_keys AS bigint[]),
        cast(:partition_nos AS integer[]),
        cast(:kinds AS liber.interest_kind[]),
        cast(:prompt_characters AS integer[])
    ) AS c (call_key, user_key, partition_no, kind, prompt_characters)
INNER JOIN liber.behavior_partition AS p ON c.user_key = p.user_key AND c.partition_no = p.partition_no
WHERE
    p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
    AND NOT EXISTS (
        SELECT FROM liber.interest AS i
        WHERE
            i.user_key = c.user_key AND i.partition_no = c.partition_no
            AND i.kind = c.kind AND i.knowledge_version = :knowledge_version
    )
ORDER BY p.user_key, p.partition_no, c.kind
FOR KEY SHARE OF p
ON CONFLICT (call_key) DO UPDATE
    SET state = 'running', attempts = l.attempts + 1, run_id = excluded.run_id, started_at = now(), finished_at = NULL
    WHERE l.state <> 'quarantined'
RETURNING l.call_key
