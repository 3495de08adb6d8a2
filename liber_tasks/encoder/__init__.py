"""Knowledge encoder (paper, section 3.4.1): texts of a partition -> BERT -> PCA -> r_j in pgvector."""
