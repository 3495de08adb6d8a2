-- Ingest: is anybody erased? No row: nobody, as mostly, and nothing has to be looked up.
SELECT TRUE AS found
WHERE EXISTS (SELECT FROM liber.erasure WHERE readmitted_at IS NULL)
