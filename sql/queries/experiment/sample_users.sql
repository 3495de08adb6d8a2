-- Custom metric: users whose rows are looked at, the newest; all the rows of each, so that a repeated day shows.
SELECT user_id FROM liber.user_profile ORDER BY user_key DESC LIMIT :users
