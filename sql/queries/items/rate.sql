-- Items, dry run: how fast the newest calls of this model about items went, and how long prompts and answers were. Time
-- between runs does not count: no wait for an answer is longer than a minute.
WITH newest AS (
    SELECT
        l.finished_at,
        l.prompt_characters,
        i.prompt_tokens,
        i.completion_tokens
    FROM liber.llm_call AS l
    INNER JOIN liber.knowledge_version AS k ON l.knowledge_version = k.knowledge_version
    LEFT JOIN liber.item_knowledge AS i ON l.item_key = i.item_key AND l.knowledge_version = i.knowledge_version
    WHERE l.state = 'done' AND k.model = :model AND l.item_key IS NOT NULL
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
    count(gap) AS calls, -- the first has no gap before it
    sum(CASE WHEN gap > 60 THEN 60 ELSE gap END) AS seconds, -- least() would make a minute of no gap
    sum(prompt_characters) FILTER (WHERE prompt_tokens > 0)::float8
    / nullif(sum(prompt_tokens) FILTER (WHERE prompt_characters > 0), 0) AS characters_per_token,
    avg(completion_tokens)::float8 AS tokens
FROM spaced
