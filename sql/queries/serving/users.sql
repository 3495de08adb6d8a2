-- Users with the latest behaviours and the vectors of the latest partitions strictly before a moment, oldest first.
WITH chosen AS (
    SELECT
        user_key,
        user_id,
        attributes
    FROM liber.user_profile
    WHERE user_id = any(:user_ids)
),

behaviors AS (
    SELECT
        b.user_key,
        b.item_key,
        b.event_time,
        b.seq,
        b.rating,
        row_number() OVER (PARTITION BY b.user_key ORDER BY b.event_time DESC, b.seq DESC) AS age
    FROM liber.behavior AS b
    INNER JOIN chosen AS c ON b.user_key = c.user_key
    WHERE b.event_time < cast(:at AS timestamptz)
),

histories AS (
    SELECT
        b.user_key,
        array_agg(coalesce(i.item_id, '') ORDER BY b.age DESC) AS item_ids,
        array_agg(coalesce(b.rating, cast('NaN' AS real)) ORDER BY b.age DESC) AS ratings
    FROM behaviors AS b
    LEFT JOIN liber.item AS i ON b.item_key = i.item_key
    WHERE b.age <= :max_history
    GROUP BY b.user_key
),

vectors AS (
    SELECT
        v.user_key,
        v.vector,
        row_number() OVER (PARTITION BY v.user_key ORDER BY p.sealed_at DESC, v.partition_no DESC) AS age
    FROM liber.interest_vector AS v
    INNER JOIN chosen AS c ON v.user_key = c.user_key
    INNER JOIN liber.behavior_partition AS p ON v.user_key = p.user_key AND v.partition_no = p.partition_no
    WHERE
        v.encoder_version = :encoder_version AND v.knowledge_version = :knowledge_version
        AND p.sealed_at < cast(:at AS timestamptz)
),

memories AS (
    SELECT
        user_key,
        array_agg(cast(vector AS real[]) ORDER BY age DESC) AS vectors
    FROM vectors
    WHERE age <= :max_partitions
    GROUP BY user_key
)

SELECT
    c.user_id,
    c.attributes -> 'age' AS age,
    c.attributes -> 'gender' AS gender,
    c.attributes -> 'occupation' AS occupation,
    coalesce(h.item_ids, '{}') AS item_ids,
    coalesce(h.ratings, '{}') AS ratings,
    coalesce(m.vectors, '{}') AS vectors
FROM chosen AS c
LEFT JOIN histories AS h ON c.user_key = h.user_key
LEFT JOIN memories AS m ON c.user_key = m.user_key
