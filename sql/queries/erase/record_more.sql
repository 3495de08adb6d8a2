-- Erase: rows that somebody wrote past the refusal, found by a repeated erasure, join the record in force.
UPDATE liber.erasure
SET removed = cast(:removed AS jsonb)
WHERE user_digest = :user_digest AND readmitted_at IS NULL
