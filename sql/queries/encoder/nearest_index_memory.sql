-- Nearest: memory for the whole graph while it is made, at most 1 GB, for this connection: one that does not fit takes
-- ten times as long. No parallel workers: these would share it in /dev/shm, which containers keep small.
SELECT
    set_config('max_parallel_maintenance_workers', '0', FALSE) AS workers,
    set_config(
        'maintenance_work_mem',
        greatest(
            (SELECT s.setting::bigint FROM pg_settings AS s WHERE s.name = 'maintenance_work_mem'),
            least(1024 * 1024, count(*) * (4 * :dimension + 1600) / 1024)
        )::text || 'kB',
        FALSE
    ) AS memory
FROM liber.interest_vector
WHERE encoder_version = :encoder_version AND knowledge_version = :knowledge_version
