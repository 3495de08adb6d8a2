-- Efficiency: partitions of the users drawn, as ranges of their behaviours.
SELECT user_key, partition_no, first_seq, last_seq
FROM liber.behavior_partition
WHERE user_key = any(cast(:user_keys AS bigint[]))
ORDER BY user_key, partition_no
