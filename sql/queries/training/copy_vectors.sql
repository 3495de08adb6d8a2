-- Vectors of one encoder and knowledge version with the time their partition was sealed. Fixed-width binary rows.
-- `WITH BINARY` is the older spelling of `(FORMAT binary)`, which the linter cannot parse after a query.
COPY (
    SELECT
        v.user_key,
        v.partition_no,
        p.sealed_at,
        v.vector
    FROM liber.interest_vector AS v
    INNER JOIN liber.behavior_partition AS p ON v.user_key = p.user_key AND v.partition_no = p.partition_no
    WHERE v.encoder_version = :encoder_version AND v.knowledge_version = :knowledge_version
    ORDER BY v.user_key, p.sealed_at, v.partition_no
) TO STDOUT WITH BINARY
