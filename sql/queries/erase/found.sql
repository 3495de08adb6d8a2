-- Erase again: ids that are in some table although they are erased.
SELECT DISTINCT u.user_id
FROM liber.erasure_key AS k
CROSS JOIN liber.known_user_ids() AS u (user_id)
INNER JOIN liber.erasure AS e ON e.user_digest = sha256(k.key || convert_to(u.user_id, 'UTF8'))
WHERE e.readmitted_at IS NULL
ORDER BY u.user_id
