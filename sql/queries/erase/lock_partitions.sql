-- Erase: whoever is storing what was derived from a partition (a call, a text, a vector) comes to its end first, and
-- none begins. In the order in which the encoder locks them.
SELECT partition_no FROM liber.behavior_partition WHERE user_key = :user_key ORDER BY partition_no FOR UPDATE
