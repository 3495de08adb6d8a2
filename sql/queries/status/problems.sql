-- Status: rows refused at ingest by reason, and LLM calls without a text by class of error.
SELECT 'ingest' AS source, 'rejected' AS state, reason, count(*) AS n
FROM liber.rejected_row
GROUP BY reason
UNION ALL
SELECT coalesce(kind::text, 'item'), state::text, liber.error_class(error), count(*)
FROM liber.llm_call
WHERE state IN ('failed', 'quarantined')
GROUP BY coalesce(kind::text, 'item'), state::text, liber.error_class(error)
ORDER BY n DESC, source ASC, reason ASC, state ASC
