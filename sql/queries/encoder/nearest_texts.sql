-- Nearest: ids of the users found, and what their partitions were said to be about. An erased user is missing.
SELECT
    u.user_key,
    u.user_id,
    i.text AS summary
FROM unnest(cast(:user_keys AS bigint[]), cast(:partition_nos AS integer[])) AS found (user_key, partition_no)
INNER JOIN liber.user_profile AS u ON found.user_key = u.user_key
LEFT JOIN liber.interest AS i
    ON
        found.user_key = i.user_key AND found.partition_no = i.partition_no
        AND i.kind = 'summary' AND i.knowledge_version = :knowledge_version
