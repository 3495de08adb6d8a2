-- Seal: users whose cache holds a partition's worth, found by index user_stream_cache_size; in the order of locking.
COPY (
    SELECT
        user_key,
        last_seq - first_unsealed_seq + 1 AS cached
    FROM liber.user_stream
    WHERE
        (last_seq - first_unsealed_seq + 1) >= :k
        AND (cast(:users AS bigint[]) IS NULL OR user_key = any(cast(:users AS bigint[])))
        AND user_key % :shards = :shard
    ORDER BY user_key
) TO STDOUT WITH BINARY
