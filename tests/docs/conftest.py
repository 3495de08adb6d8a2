"""Services that the documentation's commands talk to."""

from tests.services_mlflow import mlflow_url

__all__ = ["mlflow_url"]
