-- Status: since when each stage's oldest work waits. Of users that nobody has begun to learn, where learning is bounded
-- (:everyone is false), nothing waits; nor does what was set aside. A partition waits since it was sealed, whatever it
-- waits for.
WITH learnt AS (
    SELECT
        user_key,
        partition_no,
        bool_or(kind = 'shift') AS has_shift
    FROM liber.interest
    GROUP BY user_key, partition_no
),

begun AS (
    SELECT DISTINCT user_key FROM learnt
),

encoded AS (
    SELECT DISTINCT
        user_key,
        partition_no
    FROM liber.interest_vector
),

set_aside AS (
    SELECT DISTINCT
        user_key,
        partition_no
    FROM liber.llm_call
    WHERE state = 'quarantined' AND user_key IS NOT NULL
),

waiting AS (
    SELECT
        p.created_at,
        CASE
            WHEN l.user_key IS NULL THEN 'summary'
            WHEN NOT l.has_shift AND p.partition_no > 1 AND NOT :without_shift THEN 'shift'
            ELSE 'encode'
        END AS stage
    FROM liber.behavior_partition AS p
    LEFT JOIN learnt AS l ON p.user_key = l.user_key AND p.partition_no = l.partition_no
    LEFT JOIN begun AS b ON p.user_key = b.user_key
    LEFT JOIN encoded AS v ON p.user_key = v.user_key AND p.partition_no = v.partition_no
    LEFT JOIN set_aside AS q ON p.user_key = q.user_key AND p.partition_no = q.partition_no
    WHERE v.user_key IS NULL AND q.user_key IS NULL AND (:everyone OR b.user_key IS NOT NULL)
)

SELECT
    'partition' AS stage,
    min(b.ingested_at) AS since
FROM liber.user_stream AS s
INNER JOIN liber.behavior AS b ON s.user_key = b.user_key AND b.seq = s.first_unsealed_seq + :k - 1
WHERE s.last_seq - s.first_unsealed_seq + 1 >= :k
UNION ALL
SELECT
    stage,
    min(created_at)
FROM waiting
GROUP BY stage
UNION ALL
SELECT
    'readout',
    min(behind_since)
FROM liber.experiment_reading
WHERE behind_since IS NOT NULL
