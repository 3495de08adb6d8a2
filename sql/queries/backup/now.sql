-- Backup: the server's clock, by which its transactions are dated.
SELECT clock_timestamp() AS now
