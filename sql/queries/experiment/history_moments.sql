-- Power: mean, variance and correlation with the pre-period of each metric, plain and capped at the 99.9th percentile.
-- A ratio is linearised (delta method), (y - R y_per) / mean(y_per), and so is its pre-period; with y_per = 1 that is y
-- itself around its mean.
WITH cap AS (
    SELECT
        metric,
        percentile_disc(0.999) WITHIN GROUP (ORDER BY y) AS y_cap,
        percentile_disc(0.999) WITHIN GROUP (ORDER BY x) AS x_cap
    FROM history_value
    GROUP BY metric
),

variant AS (
    SELECT
        v.metric,
        c.capped,
        v.y_per,
        v.x_per,
        CASE WHEN c.capped THEN least(v.y, cap.y_cap) ELSE v.y END AS y,
        CASE WHEN c.capped THEN least(v.x, cap.x_cap) ELSE v.x END AS x
    FROM history_value AS v
    INNER JOIN cap ON v.metric = cap.metric
    CROSS JOIN (VALUES (FALSE), (TRUE)) AS c (capped)
),

level AS (
    SELECT
        metric,
        capped,
        avg(y_per) AS y_per,
        avg(x_per) AS x_per,
        avg(y) / nullif(avg(y_per), 0) AS y_ratio,
        avg(x) / nullif(avg(x_per), 0) AS x_ratio
    FROM variant
    GROUP BY metric, capped
)

SELECT
    v.metric,
    v.capped,
    count(*) AS users,
    min(m.y_ratio) AS mean,
    var_samp((v.y - m.y_ratio * v.y_per) / m.y_per) AS variance,
    corr(v.y - m.y_ratio * v.y_per, v.x - m.x_ratio * v.x_per) AS correlation
FROM variant AS v
INNER JOIN level AS m ON v.metric = m.metric AND v.capped = m.capped
GROUP BY v.metric, v.capped
