"""LIBER: lifelong user behaviour modelling with large language models. All logic; callable without Airflow."""
