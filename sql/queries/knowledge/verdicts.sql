-- Import: lines by what becomes of them.
SELECT
    verdict,
    count(*) AS lines
FROM knowledge_verdict
GROUP BY verdict
