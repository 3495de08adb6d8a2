-- Exposures: rows refused, by reason. An erased user was put out again by the table itself (liber.refuse_erased_users).
SELECT
    coalesce(sum(j.early), 0)::bigint AS before_start,
    coalesce(sum(j.late), 0)::bigint AS after_end,
    coalesce(sum(j.timely) FILTER (WHERE j.arm IS NULL), 0)::bigint AS outside,
    coalesce(sum(j.timely) FILTER (WHERE j.arm IS NOT NULL AND x.user_id IS NULL), 0)::bigint AS erased,
    count(*) FILTER (WHERE j.timely > 0 AND j.arm IS NOT NULL AND x.user_id IS NULL) AS erased_users,
    count(*) FILTER (WHERE j.timely > 0 AND j.crossed_at IS NOT NULL AND x.user_id IS NOT NULL) AS crossed
FROM exposure_judged AS j
LEFT JOIN liber.exposure AS x ON j.user_id = x.user_id AND x.experiment_key = :experiment_key;
