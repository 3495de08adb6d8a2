-- Learn: write down that a call is about to be made; no row when its text exists or it was set aside,
-- or when the partition was erased meanwhile. The lock makes an erasure wait for this transaction, so that it finds
-- what is written here.
INSERT INTO liber.llm_call AS l (call_key, user_key, partition_no, kind, knowledge_version, state, run_id)
SELECT
    :call_key,
    p.user_key,
    p.partition_no,
    cast(:kind AS liber.interest_kind),
    :knowledge_version,
    'running',
    :run_id
FROM liber.behavior_partition AS p
WHERE
    p.user_key = :user_key AND p.partition_no = :partition_no
    AND NOT EXISTS (
        SELECT FROM liber.interest AS i
        WHERE
            i.user_key = :user_key AND i.partition_no = :partition_no
            AND i.kind = cast(:kind AS liber.interest_kind) AND i.knowledge_version = :knowledge_version
    )
FOR KEY SHARE OF p
ON CONFLICT (call_key) DO UPDATE
    SET state = 'running', attempts = l.attempts + 1, run_id = excluded.run_id, started_at = now(), finished_at = NULL
    WHERE l.state <> 'quarantined'
RETURNING l.attempts
