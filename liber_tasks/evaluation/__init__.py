"""The paper's tables and figures, and what a sceptic asks for besides: one command each (paper, section 4)."""
