-- Import: the first lines that do not fit, to be named. Those of erased users are only counted.
SELECT
    s.line,
    s.user_id,
    s.partition_no,
    s.kind::text AS kind,
    v.verdict AS reason
FROM knowledge_verdict AS v
INNER JOIN knowledge_stage AS s ON v.line = s.line
WHERE v.verdict = any(cast(:verdicts AS text[]))
ORDER BY s.line
LIMIT :most
