-- Erase: key of a user; no row for one without a profile.
SELECT user_key FROM liber.user_profile WHERE user_id = :user_id
