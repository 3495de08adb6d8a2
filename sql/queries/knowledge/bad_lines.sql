-- Import: the first lines that are not taken, to be named. Those of erased users are only counted.
SELECT
    s.line,
    v.verdict AS reason,
    s.item_id,
    s.user_id,
    s.partition_no,
    s.kind::text AS kind,
    s.detail
FROM knowledge_verdict AS v
INNER JOIN knowledge_stage AS s ON v.line = s.line
WHERE v.verdict = any(cast(:verdicts AS text[]))
ORDER BY s.line
LIMIT :most
