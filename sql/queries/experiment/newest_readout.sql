-- Calibration, publishing, alarms: the readout that has come furthest, or that of one day.
SELECT until_day, input_sha256, result
FROM liber.readout
WHERE experiment_key = :experiment_key AND (cast(:until_day AS date) IS NULL OR until_day = cast(:until_day AS date))
ORDER BY until_day DESC, readout_key DESC
LIMIT 1;
