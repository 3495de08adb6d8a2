-- Keep what is there: a vector never changes within its versions. A partition that was erased meanwhile gets none; the
-- locks, taken in the order in which an erasure takes them, make it wait for this transaction.
INSERT INTO liber.interest_vector (user_key, partition_no, encoder_version, knowledge_version, vector)
SELECT
    s.user_key,
    s.partition_no,
    :encoder_version,
    :knowledge_version,
    s.vector
FROM interest_vector_stage AS s
INNER JOIN liber.behavior_partition AS p ON s.user_key = p.user_key AND s.partition_no = p.partition_no
ORDER BY s.user_key, s.partition_no
FOR KEY SHARE OF p
ON CONFLICT (user_key, partition_no, encoder_version, knowledge_version) DO NOTHING
