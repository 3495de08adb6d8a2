-- Seal: any combination of conditions, a batch of users at once. Returns, for each reason, partitions and the
-- behaviours in them.
WITH bounds AS MATERIALIZED (
    SELECT b.*
    FROM liber.partition_bounds(
        cast(:users AS bigint[]),
        cast(:k AS integer),
        make_interval(secs => cast(:gap AS double precision)),
        make_interval(secs => cast(:max_age AS double precision)),
        :min_events,
        :model,
        cast(:watermark AS timestamptz)
    ) AS b
),

sealed AS (
    INSERT INTO liber.behavior_partition (
        user_key, partition_no, first_seq, last_seq, n_behaviors, started_at, ended_at, sealed_at, reason
    )
    SELECT
        user_key,
        partition_no,
        first_seq,
        last_seq,
        n_behaviors,
        started_at,
        ended_at,
        sealed_at,
        reason
    FROM bounds
    WHERE reason IS NOT NULL
    RETURNING reason, n_behaviors
),

-- What stays in the cache, and when it can be due.
moved AS (
    UPDATE liber.user_stream AS t
    SET
        first_unsealed_seq = b.first_seq,
        last_partition_no = b.partition_no,
        examined_rule = :rule,
        due_at = b.sealed_at
    FROM bounds AS b
    WHERE t.user_key = b.user_key AND b.reason IS NULL
)

SELECT
    reason::text AS reason,
    count(*) AS partitions,
    sum(n_behaviors)::bigint AS behaviors
FROM sealed
GROUP BY reason
