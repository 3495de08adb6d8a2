-- Retain, dry run: vectors, raw rows and calls that are old; a bound that is null counts none.
SELECT
    (
        SELECT count(*)
        FROM liber.interest_vector AS v
        INNER JOIN liber.behavior_partition AS p ON v.user_key = p.user_key AND v.partition_no = p.partition_no
        WHERE
            p.sealed_at < cast(:vectors AS timestamptz)
            AND v.knowledge_version = coalesce(cast(:knowledge_version AS text), v.knowledge_version)
    ) AS vectors,
    (
        SELECT count(*) FROM liber.rejected_row
        WHERE rejected_at < cast(:rejected AS timestamptz) AND raw IS NOT NULL
    ) AS rejected,
    (
        SELECT count(*) FROM liber.llm_call
        WHERE state IN ('done', 'failed') AND finished_at < cast(:calls AS timestamptz)
    ) AS calls
