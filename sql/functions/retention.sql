-- Retention: texts of partitions sealed before this moment are not kept, and so not asked for: of one knowledge version
-- (null: of every version there is or will be).
CREATE OR REPLACE FUNCTION liber.retained_from(version text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(max(r.before), '-infinity')
    FROM liber.retention AS r
    WHERE r.subject = 'texts' AND (r.knowledge_version IS NULL OR r.knowledge_version = version)
$$;

-- When the texts of a partition sealed at this moment were removed; null: they are kept.
CREATE OR REPLACE FUNCTION liber.texts_removed_at(version text, sealed timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT min(r.begun_at)
    FROM liber.retention AS r
    WHERE
        r.subject = 'texts' AND r.before > sealed
        AND (r.knowledge_version IS NULL OR r.knowledge_version = version)
$$;
