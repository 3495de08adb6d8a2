-- This run announces all that was there when the transaction began.
INSERT INTO liber.announcement (what, run) VALUES (:what, :run)
ON CONFLICT (what, run) DO UPDATE SET up_to = excluded.up_to
