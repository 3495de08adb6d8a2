-- Readout: the value that :above users lie beyond at most, of one of the experiment's own metrics and its pre-period.
SELECT
    (
        SELECT custom[:place] FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY custom[:place] DESC LIMIT 1 OFFSET :above
    ) AS cap,
    (
        SELECT pre_custom[:place] FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY pre_custom[:place] DESC LIMIT 1 OFFSET :above
    ) AS pre_cap;
