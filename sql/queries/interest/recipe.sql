-- Learn: what a version's texts are made with.
SELECT
    model,
    parameters,
    recipe
FROM liber.knowledge_version
WHERE knowledge_version = :knowledge_version
