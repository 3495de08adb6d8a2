-- Learn: calls of some users that were set aside and are not asked again.
SELECT user_key, call_key
FROM liber.llm_call
WHERE
    user_key = any(cast(:user_keys AS bigint[]))
    AND knowledge_version = :knowledge_version AND state = 'quarantined'
