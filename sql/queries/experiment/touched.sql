-- Metrics: users of whom a day was added or corrected in this transaction.
CREATE TEMPORARY TABLE touched_user (user_id text NOT NULL) ON COMMIT DROP;
