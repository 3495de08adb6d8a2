"""What prompts say: domain packs, facts, untrusted text in its place, templates in MLflow's prompt registry."""
