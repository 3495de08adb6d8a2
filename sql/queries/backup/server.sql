-- Backup: what a server must be able to do, and how much there is.
SELECT
    current_setting('server_version_num')::int / 10000 AS major,
    current_setting('archive_mode') = 'on' AS archives,
    coalesce(a.last_failed_time > a.last_archived_time, a.last_failed_time IS NOT NULL) AS failing,
    a.last_failed_time,
    (SELECT sum(pg_database_size(d.oid)) FROM pg_database AS d)::bigint AS bytes
FROM pg_stat_archiver AS a
