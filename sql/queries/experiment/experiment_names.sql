-- Readout: the names to choose from when one is unknown.
SELECT name FROM liber.experiment ORDER BY name LIMIT 20;
