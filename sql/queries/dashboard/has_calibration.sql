-- Dashboard: whether this database keeps calibrations of readouts.
SELECT to_regclass('liber.readout_calibration') IS NOT NULL AS found;
