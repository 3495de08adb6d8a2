-- Readout: the same of one of the experiment's own metrics, plain and capped.
SELECT
    arm,
    segment,
    count(*) AS users,
    ARRAY[regr_avgy(y, x), regr_avgx(y, x), regr_syy(y, x), regr_sxx(y, x), regr_sxy(y, x)] AS raw,
    ARRAY[
        regr_avgy(capped_y, capped_x), regr_avgx(capped_y, capped_x), regr_syy(capped_y, capped_x),
        regr_sxx(capped_y, capped_x), regr_sxy(capped_y, capped_x)
    ] AS capped
FROM (
    SELECT
        arm,
        segment,
        custom[:place] AS y,
        pre_custom[:place] AS x,
        least(custom[:place], :cap) AS capped_y,
        least(pre_custom[:place], :pre_cap) AS capped_x
    FROM liber.user_metric
    WHERE experiment_key = :experiment_key AND left_out IS NULL
) AS own
GROUP BY arm, segment
ORDER BY arm, segment;
