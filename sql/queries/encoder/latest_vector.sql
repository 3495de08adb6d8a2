-- Nearest: a user and the vector of the latest partition that has one in these versions; nulls where there is none.
SELECT
    u.user_key,
    v.partition_no,
    v.vector::text AS vector
FROM liber.user_profile AS u
LEFT JOIN liber.interest_vector AS v
    ON u.user_key = v.user_key AND v.encoder_version = :encoder_version AND v.knowledge_version = :knowledge_version
WHERE u.user_id = :user_id
ORDER BY v.partition_no DESC
LIMIT 1
