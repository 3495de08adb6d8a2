"""`liber evaluate` as its user meets it: a process, its exit status, stdout and stderr."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine

from liber_tasks.cli_evaluate import show_report
from liber_tasks.evaluation.store import EXPERIMENT, FINGERPRINT
from tests.evaluation.results import report, speeds
from tests.test_cli import LIBER, liber
from tests.training.data import fill

STUDY = ("evaluate", "table2", "--backbone", "din", "--seeds", "2")


@pytest.fixture
def services(engine: Engine, mlflow_url: str) -> dict[str, str]:
    """Environment of a filled database that no other test has."""
    fill(engine, seed=11)
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return {"LIBER_DATABASE_URL": url, "MLFLOW_TRACKING_URI": mlflow_url, "LIBER_KNOWLEDGE_VERSION": "k1"}


def test_a_killed_study_goes_on_where_it_was_and_prints_one_json_object(
    services: dict[str, str], mlflow_url: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [LIBER, *STUDY], env={**os.environ, **services}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stderr is not None
        while ": 1 of 4" not in (line := first.stderr.readline()):
            assert line, "it ended before a model was trained"
        first.send_signal(signal.SIGKILL)
    again = liber(*STUDY, "--out", str(tmp_path / "out"), "--json", **services)
    assert again.returncode == 0, again.stderr
    kept = re.match(r"models, (\d) of them from earlier: \1 of 4", again.stderr)
    assert kept is not None, again.stderr
    found = json.loads(again.stdout)
    assert [(row["variant"], row["seeds"]) for row in found["rows"]] == [("base", 2), ("liber", 2)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(
        Path(name).name for name in found["files"]
    )
    client = MlflowClient(mlflow_url)
    cells = client.search_runs(
        [client.get_experiment_by_name(EXPERIMENT).experiment_id],
        f"tags.`liber.dataset_digest` = '{found['protocol']['digest']}' AND status = 'FINISHED'",
    )
    prints = [run.data.tags[FINGERPRINT] for run in cells if FINGERPRINT in run.data.tags]
    assert len(prints) >= 2
    assert len(set(prints)) == len(prints)  # nothing was trained twice


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table3",), "liber: There is no study 'table3': choose one of table2, controls"),
        (("table2", "--backbone", "dni"), "liber: There is no backbone 'dni': choose one of autoint"),
        (("table2", "--rounds", "3"), "liber: --rounds is for table7"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_status_2(arguments: tuple[str, ...], message: str) -> None:
    nobody = {"LIBER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    done = liber("evaluate", *arguments, **nobody)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_services_that_are_down_are_one_sentence_and_status_1(services: dict[str, str]) -> None:
    done = liber(*STUDY, **{**services, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("liber: MLflow does not answer")


def test_the_help_says_what_each_study_prints() -> None:
    shown = " ".join(liber("evaluate", "--help", COLUMNS="200").stdout.split())
    for name in ("table2", "controls", "figure4", "ablation", "figure1", "table7"):
        assert f"{name}: " in shown


def test_tables_verdict_and_files_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_report(report())
    shown = capsys.readouterr().out
    assert shown.splitlines()[:2] == ["A title", "din: nothing is claimed."]
    for said in ("All test rows", "0.7600 ± 0.0020", "+0.0100 [+0.0020, +0.0200]", "not learnt",
                 "llm <script>"):  # fmt: skip
        assert said in shown
    show_report(speeds())
    assert "1.040" in capsys.readouterr().out
