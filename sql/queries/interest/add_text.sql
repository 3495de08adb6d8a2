-- Learn: keep an answer. A partition that was erased meanwhile gets none; the lock makes an erasure wait for this
-- transaction, so that it finds what is written here.
INSERT INTO liber.interest (
    user_key, partition_no, kind, knowledge_version, text, input_sha256, prompt_tokens, completion_tokens,
    latency_seconds, finish_reason
)
SELECT
    p.user_key,
    p.partition_no,
    cast(:kind AS liber.interest_kind),
    :knowledge_version,
    :text,
    :input_sha256,
    cast(:prompt_tokens AS integer),
    cast(:completion_tokens AS integer),
    :latency_seconds,
    cast(:finish_reason AS text)
FROM liber.behavior_partition AS p
WHERE p.user_key = :user_key AND p.partition_no = :partition_no
FOR KEY SHARE OF p
ON CONFLICT (user_key, partition_no, kind, knowledge_version) DO NOTHING
