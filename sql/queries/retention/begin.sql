-- Retain: write a bound down, before anything is removed for it. The same bound again goes on with its row.
INSERT INTO liber.retention AS r (subject, knowledge_version, before, vectors)
VALUES (:subject, cast(:knowledge_version AS text), :before, :vectors)
ON CONFLICT (subject, before, coalesce(knowledge_version, '')) DO UPDATE
    SET vectors = r.vectors OR excluded.vectors
RETURNING retention_key
