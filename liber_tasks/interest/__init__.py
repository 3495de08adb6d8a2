"""User interest learning (paper, section 3.3): partition -> summary -> shift, one LLM call each, once."""
