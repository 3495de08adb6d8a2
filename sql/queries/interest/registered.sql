-- Learn: where a version's prompts are in MLflow's registry.
SELECT registered
FROM liber.knowledge_version
WHERE knowledge_version = :knowledge_version
