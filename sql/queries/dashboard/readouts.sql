-- Dashboard: the newest readout of each experiment, newest first.
SELECT experiment, simulated, result, created_at FROM liber.readout_current ORDER BY created_at DESC, experiment ASC;
