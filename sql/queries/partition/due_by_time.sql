-- Seal: users that were not examined under this rule since their last behaviour, or that are due by the watermark;
-- three ranges of index user_stream_due. In the order of locking.
COPY (
    SELECT
        user_key,
        last_seq - first_unsealed_seq + 1 AS cached
    FROM liber.user_stream
    WHERE
        (examined_rule < :rule OR examined_rule > :rule OR (examined_rule = :rule AND due_at <= :watermark))
        AND (cast(:users AS bigint[]) IS NULL OR user_key = any(cast(:users AS bigint[])))
        AND user_key % :shards = :shard
    ORDER BY user_key
) TO STDOUT WITH BINARY
