-- Metrics: after a step back, or the removal of exposures: users who were not exposed before :until are in no readout.
DELETE FROM liber.user_metric AS m
WHERE
    m.experiment_key = :experiment_key AND NOT EXISTS (
        SELECT FROM liber.exposure AS e
        WHERE
            e.experiment_key = m.experiment_key AND e.user_id = m.user_id
            AND e.exposed_at >= :starts_at AND e.exposed_at < :until
    );
