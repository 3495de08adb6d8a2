-- Dashboard: why LLM calls were set aside, most frequent first.
SELECT coalesce(kind::text, 'item') AS kind, coalesce(error, 'no message') AS error, count(*) AS n
FROM liber.llm_call
WHERE state = 'quarantined'
GROUP BY coalesce(kind::text, 'item'), coalesce(error, 'no message')
ORDER BY n DESC, kind ASC, error ASC
LIMIT 20;
