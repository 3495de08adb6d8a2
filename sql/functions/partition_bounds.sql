-- Algorithm 1 of the paper (section 3.2) with every partition condition, for the streams of some users up to the
-- watermark. Rows with a reason are partitions to seal; the row without one is what stays in a user's cache:
-- sealed_at is then the event time before which nothing can be due, whatever does not arrive.
--
-- count   Len(cache) >= k, the closing behaviour inside (Eq. 1)
-- gap     strictly more than `gap` since the last behaviour
-- age     `max_age` or more since the first behaviour
-- model   a cut point requested when this behaviour came
-- Gap and age hold once the cache has min_events; both are judged before a behaviour joins and, at the end of the
-- visible stream, against the watermark. If both are due, the deadline that passed first is the reason, gap on a tie.
-- A condition that is null is off. The caller holds the locks on the streams.
CREATE OR REPLACE FUNCTION liber.partition_bounds(
    users bigint[],
    k integer,
    gap interval,
    max_age interval,
    min_events integer,
    model boolean,
    watermark timestamptz
) RETURNS TABLE (
    user_key bigint,
    partition_no integer,
    first_seq bigint,
    last_seq bigint,
    n_behaviors integer,
    started_at timestamptz,
    ended_at timestamptz,
    sealed_at timestamptz,
    reason liber.partition_reason
)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE
    stream record;
    event record;
    cut liber.partition_cut;
    gap_deadline timestamptz;
    age_deadline timestamptz;
    next_event timestamptz;
BEGIN
    FOR stream IN
        SELECT t.user_key, t.first_unsealed_seq, t.last_seq, t.last_partition_no
        FROM liber.user_stream AS t
        WHERE t.user_key = any(users) AND t.last_seq >= t.first_unsealed_seq
        ORDER BY t.user_key
    LOOP
        user_key := stream.user_key;
        partition_no := stream.last_partition_no + 1;
        first_seq := stream.first_unsealed_seq;
        n_behaviors := 0;
        next_event := 'infinity';
        gap_deadline := 'infinity';
        age_deadline := 'infinity';
        cut := NULL;
        IF model THEN
            SELECT * INTO cut FROM liber.partition_cut AS c
            WHERE c.user_key = stream.user_key AND c.decided_seq >= stream.first_unsealed_seq
            ORDER BY c.decided_seq LIMIT 1;
        END IF;

        FOR event IN
            SELECT b.seq, b.effective_time AS at
            FROM liber.behavior AS b
            WHERE b.user_key = stream.user_key AND b.seq BETWEEN stream.first_unsealed_seq AND stream.last_seq
            ORDER BY b.seq
        LOOP
            IF event.at > watermark THEN
                next_event := event.at;
                EXIT;
            END IF;
            IF n_behaviors >= min_events AND (event.at > gap_deadline OR event.at >= age_deadline) THEN
                reason := CASE WHEN gap_deadline <= age_deadline THEN 'gap' ELSE 'age' END;
                sealed_at := greatest(least(gap_deadline, age_deadline), ended_at);
                RETURN NEXT;
                partition_no := partition_no + 1;
                first_seq := event.seq;
                n_behaviors := 0;
            END IF;

            n_behaviors := n_behaviors + 1;
            last_seq := event.seq;
            ended_at := event.at;
            IF n_behaviors = 1 THEN
                started_at := event.at;
                age_deadline := coalesce(event.at + max_age, 'infinity');
            END IF;
            gap_deadline := coalesce(event.at + gap, 'infinity');

            IF n_behaviors >= k THEN
                reason := 'count';
                sealed_at := event.at;
                RETURN NEXT;
                partition_no := partition_no + 1;
                first_seq := event.seq + 1;
                n_behaviors := 0;
            END IF;

            IF event.seq = cut.decided_seq THEN
                IF cut.last_seq >= first_seq THEN
                    reason := 'model';
                    sealed_at := event.at;
                    last_seq := cut.last_seq;
                    n_behaviors := cut.last_seq - first_seq + 1;
                    SELECT b.effective_time INTO ended_at FROM liber.behavior AS b
                    WHERE b.user_key = stream.user_key AND b.seq = cut.last_seq;
                    RETURN NEXT;
                    partition_no := partition_no + 1;
                    first_seq := cut.last_seq + 1;
                    n_behaviors := event.seq - cut.last_seq;
                    last_seq := event.seq;
                    ended_at := event.at;
                    IF n_behaviors > 0 THEN
                        SELECT b.effective_time INTO started_at FROM liber.behavior AS b
                        WHERE b.user_key = stream.user_key AND b.seq = first_seq;
                        age_deadline := coalesce(started_at + max_age, 'infinity');
                    END IF;
                END IF;
                SELECT * INTO cut FROM liber.partition_cut AS c
                WHERE c.user_key = stream.user_key AND c.decided_seq > event.seq
                ORDER BY c.decided_seq LIMIT 1;
            END IF;
        END LOOP;

        IF n_behaviors > 0 AND n_behaviors >= min_events AND (watermark > gap_deadline OR watermark >= age_deadline) THEN
            reason := CASE WHEN gap_deadline <= age_deadline THEN 'gap' ELSE 'age' END;
            sealed_at := greatest(least(gap_deadline, age_deadline), ended_at);
            RETURN NEXT;
            partition_no := partition_no + 1;
            first_seq := last_seq + 1;
            n_behaviors := 0;
        END IF;

        partition_no := partition_no - 1;
        reason := NULL;
        sealed_at := next_event;
        IF n_behaviors >= min_events AND n_behaviors > 0 THEN
            sealed_at := least(next_event, gap_deadline, age_deadline);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
