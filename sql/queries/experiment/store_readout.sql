-- Readout: store a record once; the same input gives no second row.
INSERT INTO liber.readout (experiment_key, watermark, until_day, input_sha256, result)
VALUES (:experiment_key, :watermark, :until_day, :input_sha256, cast(:result AS jsonb))
ON CONFLICT (experiment_key, input_sha256) DO NOTHING;
