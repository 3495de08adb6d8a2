-- Erase again: the database's secret in hexadecimal; no row where nobody was ever erased.
SELECT encode(key, 'hex') AS key FROM liber.erasure_key
