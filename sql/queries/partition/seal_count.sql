-- Seal: the rule Len(cache) >= k (paper, Eq. 1), all complete groups of k behaviours of a batch of users at once.
-- Only the first and the last behaviour of each group are read. Effective times never decrease along seq, so the
-- groups that the watermark lets through come first. Returns partitions and the behaviours in them.
WITH groups AS (
    SELECT
        t.user_key,
        t.last_partition_no + n.nth AS partition_no,
        t.first_unsealed_seq + (n.nth - 1) * :k AS first_seq,
        t.first_unsealed_seq + n.nth * :k - 1 AS last_seq
    FROM liber.user_stream AS t
    CROSS JOIN LATERAL generate_series(1, (t.last_seq - t.first_unsealed_seq + 1) / :k) AS n (nth)
    WHERE t.user_key = any(:users)
),

-- Scalar subqueries stay index probes: for a join the planner, which expects 1000 groups a user, would read the
-- whole table.
timed AS MATERIALIZED (
    SELECT
        g.user_key,
        g.partition_no,
        g.first_seq,
        g.last_seq,
        (
            SELECT b.effective_time FROM liber.behavior AS b
            WHERE b.user_key = g.user_key AND b.seq = g.first_seq
        ) AS started_at,
        (
            SELECT b.effective_time FROM liber.behavior AS b
            WHERE b.user_key = g.user_key AND b.seq = g.last_seq
        ) AS ended_at
    FROM groups AS g
),

sealed AS (
    INSERT INTO liber.behavior_partition (
        user_key, partition_no, first_seq, last_seq, n_behaviors, started_at, ended_at, sealed_at, reason
    )
    SELECT
        t.user_key,
        t.partition_no,
        t.first_seq,
        t.last_seq,
        :k,
        t.started_at,
        t.ended_at,
        t.ended_at AS sealed_at, -- the condition held when the closing behaviour came
        'count'
    FROM timed AS t
    WHERE t.ended_at <= :watermark
    RETURNING user_key, partition_no, last_seq
),

ends AS (
    SELECT
        user_key,
        count(*) AS n,
        max(partition_no) AS last_partition_no,
        max(last_seq) AS last_seq
    FROM sealed
    GROUP BY user_key
),

moved AS (
    UPDATE liber.user_stream AS t
    SET first_unsealed_seq = e.last_seq + 1, last_partition_no = e.last_partition_no, examined_rule = 0
    FROM ends AS e
    WHERE t.user_key = e.user_key
    RETURNING e.n
)

SELECT
    'count' AS reason,
    sum(n)::bigint AS partitions,
    sum(n)::bigint * :k AS behaviors
FROM moved
HAVING count(*) > 0
