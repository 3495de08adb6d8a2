-- Import: what a version that is there already was made with.
SELECT
    model,
    summary_prompt,
    shift_prompt,
    item_prompt,
    parameters,
    recipe
FROM liber.knowledge_version
WHERE knowledge_version = :knowledge_version
