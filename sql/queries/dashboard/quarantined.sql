-- Dashboard: why LLM calls were set aside, most frequent first.
SELECT kind::text AS kind, coalesce(error, 'no message') AS error, count(*) AS n
FROM liber.llm_call
WHERE state = 'quarantined'
GROUP BY kind, error
ORDER BY n DESC, kind ASC, error ASC
LIMIT 20;
