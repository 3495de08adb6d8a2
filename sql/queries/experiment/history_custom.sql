-- Power: the same of a metric of the experiment's own. The word metric_rows is replaced by experiment/metric_rows.
INSERT INTO history_value (metric, y, y_per, x, x_per)
SELECT
    cast(:metric AS text),
    coalesce(sum(r.value) FILTER (WHERE r.day >= :first_day), 0),
    1,
    coalesce(sum(r.value) FILTER (WHERE r.day < :first_day), 0),
    1
FROM history AS h
LEFT JOIN metric_rows AS r ON h.user_id = r.user_id
GROUP BY h.user_id
