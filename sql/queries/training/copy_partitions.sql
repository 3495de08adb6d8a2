-- Sealed partitions of all users by time. Fixed-width binary rows.
-- `WITH BINARY` is the older spelling of `(FORMAT binary)`, which the linter cannot parse after a query.
COPY (
    SELECT
        user_key,
        partition_no,
        first_seq,
        last_seq,
        sealed_at
    FROM liber.behavior_partition
    ORDER BY user_key, sealed_at, partition_no
) TO STDOUT WITH BINARY
