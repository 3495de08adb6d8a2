-- Items: calls about these items that were set aside are to be asked again.
UPDATE liber.llm_call
SET state = 'failed'
WHERE
    item_key = any(cast(:keys AS bigint[]))
    AND knowledge_version = :knowledge_version AND state = 'quarantined'
