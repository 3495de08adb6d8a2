"""Settings: one clear sentence for each mistake."""

import pytest

from liber_tasks.config import Settings, load
from liber_tasks.errors import InputError


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBER_PARTITION_K", "many")
    with pytest.raises(InputError, match="LIBER_PARTITION_K is 'many'"):
        load(local=False)


def test_a_missing_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI is not set"):
        Settings(_env_file=None).require("mlflow_tracking_uri")


def test_an_empty_bound_means_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBER_LEARN_MAX_USERS", "")
    assert load(local=False).learn_max_users is None


def test_secrets_do_not_print() -> None:
    assert "s3cret" not in repr(Settings(_env_file=None, database_url="postgresql://u:s3cret@h/d", llm_token="s3cret"))
