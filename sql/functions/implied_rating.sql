-- What a behaviour says of its item: a rating on the scale of five, null where it says nothing. Ratings say what they
-- are; of all else the domain pack's [feedback] decides (liber_tasks/feedback.py), null where it has none. Training,
-- serving, explanations and evaluation read ratings by this and nothing else.
-- One expression that the planner inlines: where there is no rule, neither it nor a join for an item's duration costs
-- anything.
CREATE OR REPLACE FUNCTION liber.implied_rating(
    feedback jsonb, kind liber.behavior_kind, rating real, play_seconds real, attributes jsonb
) RETURNS real
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN feedback IS NULL THEN rating
        ELSE coalesce(
            CASE
                WHEN feedback -> 'rating_levels' IS NULL THEN rating
                ELSE (
                    1
                    + (rating > (feedback #>> '{rating_levels,0}')::double precision)::integer
                    + (rating > (feedback #>> '{rating_levels,1}')::double precision)::integer
                    + (rating > (feedback #>> '{rating_levels,2}')::double precision)::integer
                    + (rating > (feedback #>> '{rating_levels,3}')::double precision)::integer
                )::real
            END,
            CASE WHEN kind = 'play' THEN
                CASE
                    play_seconds > coalesce(
                        (feedback ->> 'play_share')::double precision
                        * nullif(
                            substring(
                                attributes ->> (feedback ->> 'duration') FROM '^[0-9]{1,9}(?:[.][0-9]{1,30})?$'
                            )::double precision,
                            0
                        ),
                        (feedback ->> 'play_seconds')::double precision
                    )
                    WHEN TRUE THEN 4::real
                    WHEN FALSE THEN 2::real
                END
            END,
            CASE
                WHEN feedback -> 'liked' ? kind::text THEN 4::real
                WHEN feedback -> 'disliked' ? kind::text THEN 2::real
            END
        )
    END
$$;
