-- When retention removed the texts of one partition, of one knowledge version (null: of all); null: it did not.
SELECT liber.texts_removed_at(cast(:knowledge_version AS text), p.sealed_at) AS removed_at
FROM liber.user_profile AS u
INNER JOIN liber.behavior_partition AS p ON u.user_key = p.user_key
WHERE u.user_id = :user_id AND p.partition_no = :partition_no
