"""The embedded stack for one machine: PostgreSQL, LLM server, MLflow, Airflow, dashboard."""
