-- Serving: what users had done strictly before a moment each, in one look-up for a whole request: their latest
-- behaviours, vectors and closed partitions, oldest first. A user asked for twice reads as of two moments.
WITH asked AS (
    SELECT
        a.number,
        a.moment,
        u.user_key,
        u.attributes
    FROM
        unnest(cast(:user_ids AS text[]), cast(:moments AS timestamptz[]))
        WITH ORDINALITY AS a (user_id, moment, number)
    INNER JOIN liber.user_profile AS u ON a.user_id = u.user_id
),

behaviors AS (
    SELECT
        a.number,
        b.item_key,
        b.kind,
        b.rating,
        b.play_seconds,
        row_number() OVER (PARTITION BY a.number ORDER BY b.event_time DESC, b.seq DESC) AS age
    FROM asked AS a
    INNER JOIN liber.behavior AS b ON a.user_key = b.user_key AND a.moment > b.event_time
),

histories AS (
    SELECT
        b.number,
        array_agg(i.item_id ORDER BY b.age DESC) AS item_ids,
        array_agg(
            liber.implied_rating(cast(:feedback AS jsonb), b.kind, b.rating, b.play_seconds, i.attributes)
            ORDER BY b.age DESC
        ) AS ratings
    FROM behaviors AS b
    LEFT JOIN liber.item AS i ON b.item_key = i.item_key
    WHERE b.age <= :max_history
    GROUP BY b.number
),

vectors AS (
    SELECT
        a.number,
        v.vector,
        row_number() OVER (PARTITION BY a.number ORDER BY p.sealed_at DESC, p.partition_no DESC) AS age
    FROM asked AS a
    INNER JOIN liber.interest_vector AS v ON a.user_key = v.user_key
    INNER JOIN liber.behavior_partition AS p
        ON v.user_key = p.user_key AND v.partition_no = p.partition_no AND a.moment > p.sealed_at
    WHERE
        :max_vectors > 0
        AND v.encoder_version = :encoder_version AND v.knowledge_version = :knowledge_version
),

memories AS (
    SELECT
        number,
        string_agg(vector_send(vector), cast('' AS bytea) ORDER BY age DESC) AS vectors
    FROM vectors
    WHERE age <= :max_vectors
    GROUP BY number
),

closed AS (
    SELECT
        a.number,
        p.user_key,
        p.first_seq,
        p.last_seq,
        row_number() OVER (PARTITION BY a.number ORDER BY p.sealed_at DESC, p.partition_no DESC) AS age
    FROM asked AS a
    INNER JOIN liber.behavior_partition AS p ON a.user_key = p.user_key AND a.moment > p.sealed_at
    WHERE :max_partitions > 0
),

partitions AS (
    SELECT
        c.number,
        array_agg(c.age ORDER BY c.age DESC, b.event_time ASC, b.seq ASC) AS partition_ages,
        array_agg(i.item_id ORDER BY c.age DESC, b.event_time ASC, b.seq ASC) AS partition_item_ids,
        array_agg(
            liber.implied_rating(cast(:feedback AS jsonb), b.kind, b.rating, b.play_seconds, i.attributes)
            ORDER BY c.age DESC, b.event_time ASC, b.seq ASC
        ) AS partition_ratings
    FROM closed AS c
    INNER JOIN liber.behavior AS b
        ON c.user_key = b.user_key AND c.first_seq <= b.seq AND c.last_seq >= b.seq
    LEFT JOIN liber.item AS i ON b.item_key = i.item_key
    WHERE c.age <= :max_partitions
    GROUP BY c.number
)

SELECT
    a.number,
    a.attributes -> 'age' AS age,
    a.attributes -> 'gender' AS gender,
    a.attributes -> 'occupation' AS occupation,
    h.item_ids,
    h.ratings,
    m.vectors,
    p.partition_ages,
    p.partition_item_ids,
    p.partition_ratings
FROM asked AS a
LEFT JOIN histories AS h ON a.number = h.number
LEFT JOIN memories AS m ON a.number = m.number
LEFT JOIN partitions AS p ON a.number = p.number
