-- Erase: raw text of rejected rows that holds the id, or that was cut off within it. Where it was, and why the row was
-- rejected, stays. The pieces pass few rows on to the regular expression.
UPDATE liber.rejected_row AS r
SET raw = NULL
WHERE
    (
        EXISTS (SELECT FROM unnest(cast(:pieces AS text[])) AS p (piece) WHERE strpos(r.raw, p.piece) > 0)
        AND r.raw ~ :id_pattern
    )
    OR (
        char_length(r.raw) >= :max_raw
        AND EXISTS (
            SELECT
            FROM unnest(cast(:beginnings AS text[])) AS b (beginning)
            WHERE
                right(r.raw, char_length(b.beginning)) = b.beginning
                AND (
                    b.beginning !~ '^[^\W_]'
                    OR substr(r.raw, char_length(r.raw) - char_length(b.beginning), 1) !~ '[^\W_]'
                )
        )
    )
