-- Calibration: the result made from the same input, if any.
SELECT result FROM liber.readout_calibration WHERE experiment_key = :experiment_key AND input_sha256 = :input_sha256;
