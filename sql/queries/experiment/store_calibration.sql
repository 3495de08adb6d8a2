-- Calibration: store a result once; the same readout and settings give no second row.
INSERT INTO liber.readout_calibration (experiment_key, until_day, input_sha256, result)
VALUES (:experiment_key, :until_day, :input_sha256, cast(:result AS jsonb))
ON CONFLICT (experiment_key, input_sha256) DO NOTHING;
