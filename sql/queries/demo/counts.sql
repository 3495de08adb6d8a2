-- Demo report: counts at each stage and what the LLM cost so far.
SELECT
    (SELECT count(*) FROM liber.user_profile) AS users,
    (SELECT count(*) FROM liber.item) AS items,
    (SELECT count(*) FROM liber.behavior) AS behaviors,
    (SELECT count(*) FROM liber.rejected_row) AS rejected_rows,
    (SELECT count(*) FROM liber.behavior_partition) AS partitions,
    (SELECT count(DISTINCT user_key) FROM liber.interest) AS users_learnt,
    (SELECT count(*) FROM liber.interest WHERE kind = 'summary') AS summaries,
    (SELECT count(*) FROM liber.interest WHERE kind = 'shift') AS shifts,
    (SELECT coalesce(sum(attempts), 0)::bigint FROM liber.llm_call) AS llm_calls,
    (SELECT count(*) FROM liber.llm_call WHERE state = 'quarantined') AS quarantined,
    (
        (SELECT coalesce(sum(prompt_tokens), 0) FROM liber.interest)
        + (SELECT coalesce(sum(prompt_tokens), 0) FROM liber.item_knowledge)
    )::bigint AS prompt_tokens,
    (
        (SELECT coalesce(sum(completion_tokens), 0) FROM liber.interest)
        + (SELECT coalesce(sum(completion_tokens), 0) FROM liber.item_knowledge)
    )::bigint AS completion_tokens,
    (SELECT count(*) FROM liber.interest_vector) AS vectors
