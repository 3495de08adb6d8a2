-- Drift: items of the caches of some users, and of the behaviours before them that a cut inside the cache looks back
-- to. Lateral and fenced, so that a cache is one index range: the planner would take a third of the table for it.
COPY (
    SELECT
        t.user_key,
        b.seq,
        b.item_key
    FROM liber.user_stream AS t
    CROSS JOIN
        LATERAL (
            SELECT
                c.seq,
                c.item_key
            FROM liber.behavior AS c
            WHERE c.user_key = t.user_key AND c.seq >= t.first_unsealed_seq - :reach
            ORDER BY c.seq
            OFFSET 0
        ) AS b
    WHERE t.user_key = any(cast(:users AS bigint[])) AND t.last_seq >= t.first_unsealed_seq
    ORDER BY t.user_key, b.seq
) TO STDOUT WITH BINARY
