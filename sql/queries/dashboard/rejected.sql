-- Dashboard: why rows were refused at ingest, most frequent first.
SELECT reason, count(*) AS n FROM liber.rejected_row GROUP BY reason ORDER BY n DESC, reason ASC LIMIT 20;
