-- Learn: texts some users still miss that a run can bring: neither set aside nor waiting for one that was, nor too
-- old to be kept.
WITH partitions AS (
    SELECT
        user_key,
        partition_no,
        sealed_at < (SELECT liber.retained_from(:knowledge_version)) AS too_old
    FROM liber.behavior_partition
    WHERE user_key = any(cast(:user_keys AS bigint[]))
),

settled AS (
    SELECT user_key, partition_no, kind, TRUE AS learnt
    FROM liber.interest
    WHERE user_key = any(cast(:user_keys AS bigint[])) AND knowledge_version = :knowledge_version
    UNION
    SELECT user_key, partition_no, kind, FALSE AS learnt
    FROM liber.llm_call
    WHERE
        user_key = any(cast(:user_keys AS bigint[]))
        AND knowledge_version = :knowledge_version AND state = 'quarantined'
),

summaries AS (
    SELECT p.user_key, p.partition_no, CASE WHEN p.too_old THEN FALSE ELSE bool_or(s.learnt) END AS learnt
    FROM partitions AS p
    LEFT JOIN settled AS s ON p.user_key = s.user_key AND p.partition_no = s.partition_no AND s.kind = 'summary'
    GROUP BY p.user_key, p.partition_no, p.too_old
)

SELECT
    count(*) FILTER (WHERE s.learnt IS NULL) AS summaries,
    count(*) FILTER (
        WHERE :has_shift
        AND s.partition_no > 1
        AND s.learnt IS NOT FALSE
        AND previous.learnt IS NOT FALSE
        AND NOT EXISTS (
            SELECT FROM settled AS c
            WHERE c.user_key = s.user_key AND c.partition_no = s.partition_no AND c.kind = 'shift'
        )
    ) AS shifts
FROM summaries AS s
LEFT JOIN summaries AS previous ON s.user_key = previous.user_key AND s.partition_no = previous.partition_no + 1
