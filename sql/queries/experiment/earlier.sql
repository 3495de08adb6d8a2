-- Readout: the newest record of each earlier day, in order: what its looks showed then.
SELECT DISTINCT ON (until_day) until_day, input_sha256, result
FROM liber.readout
WHERE experiment_key = :experiment_key AND until_day < cast(:until_day AS date)
ORDER BY until_day ASC, readout_key DESC;
