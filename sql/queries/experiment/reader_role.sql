-- Custom metric: whether this session may act as the role that only reads, and that role was let into the schema.
SELECT exists(
    SELECT
    FROM pg_roles
    WHERE
        rolname = 'liber_reader' AND pg_has_role(oid, 'MEMBER') AND has_schema_privilege(oid, 'liber', 'USAGE')
)
