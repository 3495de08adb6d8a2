-- The frozen encoder for this model, dtype, pooling and dimension; a refitted one replaces the older.
SELECT encoder_version, pca, fitted_texts, explained_variance
FROM liber.encoder
WHERE model = :model AND dtype = :dtype AND pooling = :pooling AND dimension = :dimension
ORDER BY created_at DESC
LIMIT 1
