-- Import: of lines about the same, the first counts.
UPDATE knowledge_stage AS s
SET
    bad = 'duplicate',
    detail = 'line ' || d.first_line || ' is about the same'
FROM (
    SELECT
        line,
        first_value(line) OVER (PARTITION BY item_id, user_id, partition_no, kind ORDER BY line) AS first_line
    FROM knowledge_stage
    WHERE bad IS NULL
) AS d
WHERE s.line = d.line AND d.line <> d.first_line
