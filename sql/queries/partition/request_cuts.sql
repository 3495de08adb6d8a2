-- Request cuts: keep those that lie in a cache, and have the next seal look at their users. The first request at a
-- behaviour holds. The caller holds the locks on the streams. Returns how many are new, and how many lie in sealed
-- partitions.
WITH asked AS (
    SELECT
        a.user_key,
        a.decided_seq,
        a.last_seq,
        a.score,
        a.nth,
        a.last_seq < t.first_unsealed_seq AS sealed
    FROM
        unnest(cast(:users AS bigint[]), cast(:decided AS bigint[]), cast(:lasts AS bigint[]), cast(:scores AS real[]))
        WITH ORDINALITY AS a (user_key, decided_seq, last_seq, score, nth)
    INNER JOIN liber.user_stream AS t ON a.user_key = t.user_key
),

requested AS (
    INSERT INTO liber.partition_cut (user_key, decided_seq, last_seq, model, score)
    SELECT
        user_key,
        decided_seq,
        last_seq,
        :model,
        score
    FROM asked
    WHERE NOT sealed
    ORDER BY user_key, decided_seq, nth
    ON CONFLICT (user_key, decided_seq) DO NOTHING
    RETURNING user_key
),

woken AS (
    UPDATE liber.user_stream
    SET examined_rule = 0
    WHERE user_key IN (SELECT user_key FROM requested) AND examined_rule <> 0
)

SELECT
    (SELECT count(*) FROM requested) AS requested,
    (SELECT count(*) FROM asked WHERE sealed) AS sealed
