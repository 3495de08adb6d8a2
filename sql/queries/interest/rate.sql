-- Learn, dry run: how fast the newest calls of this model about partitions went, and how long prompts and answers were.
-- Time between runs does not count: no wait for an answer is longer than a minute. Texts are what shift prompts are
-- made of.
WITH newest AS (
    SELECT
        l.user_key,
        l.partition_no,
        l.kind,
        l.knowledge_version,
        l.finished_at,
        l.prompt_characters,
        l.prompt_tokens,
        l.completion_tokens
    FROM liber.llm_call AS l
    INNER JOIN liber.knowledge_version AS k ON l.knowledge_version = k.knowledge_version
    WHERE l.state = 'done' AND k.model = :model AND l.item_key IS NULL
    ORDER BY l.finished_at DESC
    LIMIT 1000
),

spaced AS (
    SELECT
        *,
        extract(EPOCH FROM finished_at - lag(finished_at) OVER (ORDER BY finished_at))::float8 AS gap
    FROM newest
)

SELECT
    count(s.gap) AS calls, -- the first has no gap before it
    sum(CASE WHEN s.gap > 60 THEN 60 ELSE s.gap END) AS seconds, -- least() would make a minute of no gap
    sum(s.prompt_characters) FILTER (WHERE i.prompt_tokens > 0)::float8
    / nullif(sum(i.prompt_tokens) FILTER (WHERE s.prompt_characters > 0), 0) AS characters_per_token,
    avg(i.completion_tokens) FILTER (WHERE s.kind = 'summary')::float8 AS summary_tokens,
    avg(i.completion_tokens) FILTER (WHERE s.kind = 'shift')::float8 AS shift_tokens,
    avg(length(i.text)) FILTER (WHERE s.kind = 'summary')::float8 AS summary_characters
FROM spaced AS s
LEFT JOIN liber.interest AS i
    ON
        s.user_key = i.user_key AND s.partition_no = i.partition_no AND s.kind = i.kind
        AND s.knowledge_version = i.knowledge_version
