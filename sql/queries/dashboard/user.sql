-- Dashboard: what is known of one user; no row for an unknown one.
SELECT
    u.user_id,
    coalesce(s.last_seq, 0) AS behaviors,
    coalesce(s.last_seq - s.first_unsealed_seq + 1, 0) AS cached
FROM liber.user_profile AS u
LEFT JOIN liber.user_stream AS s ON u.user_key = s.user_key
WHERE u.user_id = :user_id;
