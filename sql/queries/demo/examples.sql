-- Demo report: the newest text pair of the two users with most of them.
SELECT
    newest.user_id,
    newest.partition_no,
    newest.started_at,
    newest.ended_at,
    newest.summary,
    newest.shift
FROM (
    SELECT DISTINCT ON (t.user_id) t.*
    FROM liber.interest_timeline AS t
    WHERE t.summary IS NOT NULL AND t.shift IS NOT NULL
    ORDER BY t.user_id ASC, t.partition_no DESC
) AS newest
ORDER BY newest.partition_no DESC, newest.user_id ASC
LIMIT 2
