-- Nearest: index of the vectors of one encoder and knowledge version by cosine, made while others read and write. The
-- column holds vectors of several lengths, the index only those of one: hence the cast and the conditions. Users come
-- in groups of like interest: with pgvector's own m and ef_construction, a search now and then ends in the wrong group.
CREATE INDEX CONCURRENTLY :index_name
ON liber.interest_vector
USING hnsw ((cast(vector AS :vector_type)) vector_cosine_ops)
WITH (m = 24, ef_construction = 128)
WHERE encoder_version = :encoder_version AND knowledge_version = :knowledge_version
