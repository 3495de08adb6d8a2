-- Readout: users at or beyond any of the guesses, a few of a thousand; the caps are exact among them.
SELECT arm, segment, play_count, play_seconds, pre_play_count, pre_play_seconds
FROM liber.user_metric
WHERE
    experiment_key = :experiment_key AND left_out IS NULL
    AND (
        play_count >= :play_count OR play_seconds >= :play_seconds
        OR pre_play_count >= :pre_play_count OR pre_play_seconds >= :pre_play_seconds
    );
