"""The page on extension points does what it says: its commands are run as they stand there."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import ROOT
from tests.conftest import free_port

PAGE = ROOT / "docs" / "extend.md"
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.timeout(900)
# Elsewhere: none of the examples' folder is on the path.
SERVICE = """
import mlflow
model = mlflow.pyfunc.load_model("models:/of-the-shop@champion")
answer = model.predict([{"user_id": "listener-1", "item_id": "record-1"}])
print(__import__("sys").modules["tower"].__name__, len(answer))
"""


def commands() -> str:
    """Every command of the page, in order."""
    return "\n".join(re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE))


@pytest.fixture
def walked(database_url: str, mlflow_url: str, tmp_path: Path) -> Path:
    """A copy of the examples in which the page's commands were run."""
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "docs" / "examples", folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIBER_", "MLFLOW_"))}
    environment = kept | {
        "LIBER_DATABASE_URL": database_url, "MLFLOW_TRACKING_URI": mlflow_url, "LIBER_MODEL_NAME": "of-the-shop",
        "LIBER_VAR": str(tmp_path / "var"), "LLM_PORT": str(free_port()), "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}:{kept['PATH']}",
    }  # fmt: skip
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", commands()], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        printed, _ = shell.communicate(timeout=800)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)  # the LLM gateway goes on in the background
    assert shell.returncode == 0, printed
    return folder


def test_the_page_leads_from_files_to_a_served_model(walked: Path, engine: Engine, mlflow_url: str) -> None:
    with engine.connect() as connection:

        def found(statement: str) -> list[tuple]:
            return [tuple(row) for row in connection.execute(text(statement))]

        assert found("SELECT count(*) FROM liber.behavior") == [(1200,)]
        assert {reason for (reason,) in found("SELECT DISTINCT reason FROM liber.behavior_partition")} == {
            "count",
            "model",
        }
        versions = dict(found("SELECT model, count(*) FROM liber.interest JOIN liber.knowledge_version "
                              "USING (knowledge_version) GROUP BY model"))  # fmt: skip
        assert versions["house-model/1"] > 10
        assert versions["elsewhere"] == 1
        encoders = found("SELECT dimension, count(*) FROM liber.encoder JOIN liber.interest_vector "
                         "USING (encoder_version) GROUP BY dimension ORDER BY dimension")  # fmt: skip
        assert [dimension for dimension, _ in encoders] == [8]

    served = subprocess.run(
        [sys.executable, "-c", SERVICE], cwd="/", capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": mlflow_url, "OMP_NUM_THREADS": "1",
             "LIBER_READER_DATABASE_URL": engine.url.render_as_string(hide_password=False)},
    )  # fmt: skip
    assert served.returncode == 0, served.stderr
    assert served.stdout.split() == ["tower", "1"]  # its package came with the model
