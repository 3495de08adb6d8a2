-- Items: write down that calls are about to be made; no row for one whose text exists or that was set aside, or whose
-- item has changed since it was read.
INSERT INTO liber.llm_call AS l (call_key, item_key, knowledge_version, state, run_id, prompt_characters)
SELECT
    c.call_key,
    c.item_key,
    :knowledge_version,
    'running',
    :run_id,
    a.prompt_characters
FROM
    unnest(
        cast(:call_keys AS text[]),
        cast(:item_keys AS bigint[]),
        cast(:prompt_characters AS integer[])
    ) AS a (call_key, item_key, prompt_characters)
INNER JOIN liber.item_coverage(:knowledge_version) AS c ON a.item_key = c.item_key AND a.call_key = c.call_key
WHERE NOT c.learnt
ORDER BY c.item_key
ON CONFLICT (call_key) DO UPDATE
    SET state = 'running', attempts = l.attempts + 1, run_id = excluded.run_id, started_at = now(), finished_at = NULL
    WHERE l.state <> 'quarantined'
RETURNING l.call_key
