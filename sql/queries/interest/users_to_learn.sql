-- Learn: those of some users that miss a text of this version, in the order given. A partition after one whose texts
-- retention removes begins anew, like P_1: nobody asks for its shift.
SELECT asked.user_key
FROM unnest(cast(:user_keys AS bigint[])) WITH ORDINALITY AS asked (user_key, place)
WHERE
    EXISTS (
        SELECT FROM liber.behavior_partition AS p
        LEFT JOIN liber.interest AS s
            ON
                p.user_key = s.user_key AND p.partition_no = s.partition_no
                AND s.kind = 'summary' AND s.knowledge_version = :knowledge_version
        LEFT JOIN liber.interest AS c
            ON
                p.user_key = c.user_key AND p.partition_no = c.partition_no
                AND c.kind = 'shift' AND c.knowledge_version = :knowledge_version
        LEFT JOIN liber.behavior_partition AS earlier
            ON p.user_key = earlier.user_key AND p.partition_no = earlier.partition_no + 1
        WHERE
            p.user_key = asked.user_key
            AND p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
            AND (
                s.user_key IS NULL
                OR (
                    :has_shift AND c.user_key IS NULL
                    AND earlier.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
                )
            )
    )
ORDER BY asked.place
