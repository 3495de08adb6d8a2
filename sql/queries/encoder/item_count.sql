-- Encode items: how many there are, for the progress bar.
SELECT count(*) AS items FROM liber.item
