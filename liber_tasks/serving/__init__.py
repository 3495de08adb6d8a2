"""The registered model as its consumers load it (paper, section 3.5)."""
