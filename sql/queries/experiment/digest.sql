-- Readout: digest of the rows read, whatever their order: sums of two 64-bit hashes.
SELECT
    count(*) AS n,
    coalesce(sum(hash_record_extended(p, 0)), 0)::text AS first_sum,
    coalesce(sum(hash_record_extended(p, 1)), 0)::text AS second_sum
FROM (SELECT arm, user_id, play_count, pre_play_count, play_ms, pre_play_ms FROM per_user) AS p;
