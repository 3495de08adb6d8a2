-- Read: when the partitions of some users were sealed.
COPY (
    SELECT
        user_key,
        partition_no,
        sealed_at
    FROM liber.behavior_partition
    WHERE user_key = any(cast(:user_keys AS bigint[]))
) TO STDOUT WITH BINARY
