"""CTR backbones, one file each, layers shared. Import torch only.

A backbone is made as `Backbone(sizes, embedding_size, hidden, dropout, extra)` and called as `backbone(batch, extra)`.
Weights for the `extra` further features come last in every tensor, so that a model with them can start as the one
without (see `fusion.model.start_as`).
"""
