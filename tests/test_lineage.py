"""Lineage is off until it is configured. What it says when it is on: `tests/e2e/test_journey.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LISTENERS = """
import sys
from airflow.providers.openlineage.plugins.openlineage import OpenLineageProviderPlugin as plugin
print(len(plugin.listeners), "openlineage.client" in sys.modules)
"""
TRANSPORT = json.dumps({"type": "http", "url": "http://127.0.0.1:5000"})


@pytest.mark.parametrize(("transport", "found"), [("", "0 False"), (TRANSPORT, "1 True")], ids=["off", "on"])
def test_without_a_transport_nobody_listens_and_no_client_is_loaded(transport: str, found: str, tmp_path: Path) -> None:
    others = {name: value for name, value in os.environ.items() if "OPENLINEAGE" not in name}
    variables = others | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__OPENLINEAGE__TRANSPORT": transport}
    done = subprocess.run(
        [sys.executable, "-c", LISTENERS], env=variables, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == found
