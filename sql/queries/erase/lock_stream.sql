-- Erase: a sealer at work on this user comes to its end first, and none begins.
SELECT user_key FROM liber.user_stream WHERE user_key = :user_key FOR UPDATE
