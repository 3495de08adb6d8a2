-- Readout: the value that :above users lie beyond at most, of one of the experiment's own metrics and its pre-period.
SELECT
    (
        SELECT custom[:place] FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY custom[:place] DESC OFFSET :above LIMIT 1
    ) AS cap,
    (
        SELECT pre_custom[:place] FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY pre_custom[:place] DESC OFFSET :above LIMIT 1
    ) AS pre_cap;
