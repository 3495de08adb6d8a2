"""CPU-seconds that importing a DAG file takes beyond the names that it imports from `airflow.sdk`.

Each import is a fresh interpreter's, which has taken those names first: they are what every DAG file costs.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from liber_tasks.config import ROOT
from tests.bench.database import say

IMPORT = """
import ast, importlib.util, sys, time
begun = time.process_time()
import airflow.sdk
imports = [node for node in ast.parse(open(sys.argv[1]).read()).body if isinstance(node, ast.ImportFrom)]
for node in imports:
    if node.module == "airflow.sdk":
        for name in node.names:
            getattr(airflow.sdk, name.name)
sdk = time.process_time()
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["dag_file"] = module
spec.loader.exec_module(module)
print(sdk - begun, time.process_time() - sdk)
"""


def measure(size: int = 5) -> tuple[dict[str, float], dict[str, Any]]:
    """The dearest file's own cost and every file's, medians of `size` imports. A minute."""
    own: dict[str, float] = {}
    airflow: list[float] = []
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as home:
        variables = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        for file in sorted((ROOT / "dags").glob("*.py")):
            say(f"importing {file.name}")
            costs = [_cost(file, variables) for _ in range(size)]
            airflow += [sdk for sdk, _ in costs]
            own[file.stem] = round(statistics.median(ours for _, ours in costs), 3)
    figures = {"airflow_sdk_cpu_s": round(statistics.median(airflow), 3)}
    return {"import_cpu_s": max(own.values())}, figures | {f"{name}_cpu_s": cost for name, cost in own.items()}


def _cost(file: Path, variables: dict[str, str]) -> tuple[float, float]:
    """CPU-seconds of Airflow's names and of the rest of the file."""
    command = [sys.executable, "-c", IMPORT, str(file)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    sdk, ours = done.stdout.splitlines()[-1].split()
    return float(sdk), float(ours)
