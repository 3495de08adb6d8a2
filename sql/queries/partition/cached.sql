-- Seal: behaviours that stay in the caches.
SELECT coalesce(sum(last_seq - first_unsealed_seq + 1), 0)::bigint AS cached
FROM liber.user_stream
WHERE cast(:users AS bigint[]) IS NULL OR user_key = any(cast(:users AS bigint[]))
