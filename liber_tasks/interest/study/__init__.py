"""The paper's efficiency study (section 4.6.1, Table 6)."""
