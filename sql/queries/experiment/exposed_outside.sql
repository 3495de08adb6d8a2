-- Readout: exposures logged outside the experiment's own time; they are left out of the statistics.
SELECT count(*) FROM liber.exposure
WHERE experiment_key = :experiment_key AND (exposed_at < :starts_at OR exposed_at >= :ends_at);
