-- Retain: why calls about some users' old partitions were set aside or failed, without what it quotes of an answer.
UPDATE liber.llm_call AS l
SET error = split_part(l.error, ':', 1)
FROM liber.behavior_partition AS p
WHERE
    l.user_key = p.user_key AND l.partition_no = p.partition_no
    AND l.user_key > :after AND l.user_key <= :last_key
    AND p.sealed_at < :before
    AND l.knowledge_version = coalesce(cast(:knowledge_version AS text), l.knowledge_version)
    AND l.error LIKE '%:%'
