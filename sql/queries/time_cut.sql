-- Event time below which a share of all behaviours lies: the split of training and test (paper, section 4.1.1).
SELECT percentile_disc(:share) WITHIN GROUP (ORDER BY event_time) AS cut
FROM liber.behavior
