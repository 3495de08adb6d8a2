-- Dashboard: a user's partition vectors of one encoder and knowledge version, in the order in which serving reads them.
SELECT
    v.partition_no,
    cast(v.vector AS real[]) AS vector
FROM liber.interest_vector AS v
INNER JOIN liber.user_profile AS u ON v.user_key = u.user_key
INNER JOIN liber.behavior_partition AS p ON v.user_key = p.user_key AND v.partition_no = p.partition_no
WHERE
    u.user_id = :user_id AND v.encoder_version = :encoder_version AND v.knowledge_version = :knowledge_version
    AND p.sealed_at < now()
ORDER BY p.sealed_at ASC, v.partition_no ASC;
