"""The whole journey on a slice of MovieLens-100K through the real scheduler, killed and repeated."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from sqlalchemy import text

from liber_tasks import db
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings, environment
from liber_tasks.errors import LiberError
from liber_tasks.learning import with_version
from liber_tasks.local import stack as local_stack
from liber_tasks.local.airflow_api import WAITING, AirflowApi
from liber_tasks.local.demo import EXPERIMENT, journey, stack_settings
from liber_tasks.local.environment import SERVICES, Stack
from liber_tasks.local.report import counts
from liber_tasks.serving.score import score
from liber_tasks.training import registry, tracking
from liber_tasks.training.tracking import pointed_at
from tests.conftest import free_port
from tests.e2e.learning import Api
from tests.e2e.told import DEADLINE, Told, receivers
from tests.services_stack import dump, holding

USERS, LEARNT = 60, 2
READER = "reader-"  # every user's id begins so, and nothing else does
XCOM_BYTES = 1000
SECONDS = 300  # nothing the tests wait for takes as long
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    """Receivers of alerts, lineage and metrics, and the environment that sends them there."""
    with receivers() as made, environment(made.variables):
        yield made


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, told: Told) -> Iterator[Stack]:
    """A local stack of its own: own folder, own ports."""
    ports = {f"port_{name}": free_port() for name in SERVICES}
    settings = Settings(_env_file=None, **ports, learn_max_users=LEARNT, seeds=1, encoder_dimension=8)
    stack = Stack(tmp_path_factory.mktemp("stack") / "var", settings)
    local_stack.up(stack)
    yield stack
    local_stack.down(stack)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The first users of MovieLens-100K with all of their ratings; every item."""
    folder = tmp_path_factory.mktemp("slice")
    data = obtain(Settings(_env_file=None), folder / "whole")
    kept = {str(number) for number in range(1, USERS + 1)}
    for name, source in (("behaviors", data.behaviors), ("users", data.users)):
        rows = [row for row in map(json.loads, source.open()) if row["user_id"] in kept]
        named = [json.dumps({**row, "user_id": READER + row["user_id"]}) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(named))
    return {"behaviors": [str(folder / "behaviors.jsonl")], "users": [str(folder / "users.jsonl")],
            "items": [str(data.items)]}  # fmt: skip


@pytest.fixture(scope="module")
def travelled(stack: Stack, files: dict[str, list[str]]) -> Settings:
    """Settings of the stack after the journey."""
    settings = stack_settings(stack)
    journey(AirflowApi.of(stack), settings, files)
    return settings


def test_every_stage_has_done_its_part(travelled: Settings, files: dict[str, list[str]]) -> None:
    behaviors = [json.loads(line) for line in Path(files["behaviors"][0]).read_text().splitlines()]
    of_user: dict[str, int] = {}
    for behavior in behaviors:
        of_user[behavior["user_id"]] = of_user.get(behavior["user_id"], 0) + 1
    now = counts(db.connect(travelled))
    assert now["behaviors"] == len(behaviors)
    assert now["users"] == USERS
    assert now["items"] == 1682
    assert now["rejected_rows"] == 0
    assert now["partitions"] == sum(n // 20 for n in of_user.values())
    assert now["users_learnt"] == LEARNT
    assert now["shifts"] == now["summaries"] - LEARNT
    assert now["vectors"] == now["summaries"]
    assert now["llm_calls"] >= now["summaries"] + now["shifts"]
    assert now["prompt_tokens"] > 0


def test_the_champion_is_loadable_from_the_registry_alone(travelled: Settings) -> None:
    with pointed_at(travelled.require("mlflow_tracking_uri")):
        model = mlflow.pyfunc.load_model(f"models:/{travelled.model_name}@champion")
    assert model.metadata.signature is not None
    probabilities = model.predict(model.input_example)
    assert len(probabilities) == len(model.input_example)


def test_the_champion_scores_a_users_candidates(travelled: Settings) -> None:
    scores = score(db.connect(travelled), travelled, f"{READER}1", ["1", "2", "3"])
    assert {row["item_id"] for row in scores} == {"1", "2", "3"}
    assert all(0 < row["probability"] < 1 for row in scores)


def test_a_grid_is_searched_on_validation_and_the_model_waits_for_a_yes(stack: Stack, travelled: Settings) -> None:
    """The journey before trained without a grid: there the search was skipped."""
    api, begun = AirflowApi.of(stack), datetime.now(UTC)
    grid = {"learning_rate": [0.001, 0.00001], "max_epochs": [1]}
    conf = {"grid": grid, "options": ["pooled", "profile", "affinity"], "backbone": "dien", "bundle": True}
    *_, run = api.follow("train_ctr", api.trigger("train_ctr", conf))  # no item has a text vector before
    assert run.state == "success", api.failure(run)
    client = tracking.connect(travelled)
    report = registry.latest_report(travelled)
    tried = client.search_runs([report["experiment_id"]], "tags.`liber.kind` = 'candidate'")
    assert {run.data.tags["airflow.run"] for run in tried} == {f"train_ctr/{run.run_id}"}
    loss = {run.data.params["learning_rate"]: run.data.metrics["validation_log_loss"] for run in tried}
    assert set(loss) == {"0.001", "1e-05"}
    assert str(report["training"]["learning_rate"]) == min(loss, key=lambda rate: loss[rate])
    assert (report["backbone"], list(report["options"])) == (
        "dien",
        ["pooled", "dense_profile", "lexical_profile", "affinity"],
    )
    challenger = registry.find(client, travelled, "challenger")
    assert challenger.version == report["model_version"]
    assert challenger.tags["liber.features"] == "bundle"

    deadline = time.monotonic() + 120
    while not (asked := api.runs_since("promote_ctr", begun)):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    answers = 0
    for rejected in api.follow("promote_ctr", asked[-1]):
        if rejected.tasks.get("approve") == WAITING:
            assert rejected.state == "running"
            assert registry.champion(client, travelled).version != report["model_version"]
            # and again if it asks again: so quick an answer may reach Airflow before the end of the asking does
            api.answer("promote_ctr", rejected.run_id, "approve", "Reject")
            answers += 1
    assert answers
    assert rejected.tasks["promote"] == "skipped"
    assert registry.champion(client, travelled).version != report["model_version"]


def test_the_readout_is_stored_and_marked_simulated(travelled: Settings) -> None:
    with db.connect(travelled).connect() as connection:
        row = connection.execute(
            text("SELECT simulated, result FROM liber.readout_current WHERE experiment = :name"), {"name": EXPERIMENT}
        ).one()
    assert row.simulated
    assert row.result["simulated"]


def test_a_backfill_reads_past_days_and_a_day_that_was_read_stays_as_it_is(stack: Stack, travelled: Settings) -> None:
    def records() -> list[tuple]:
        with db.connect(travelled).connect() as connection:
            found = connection.execute(
                text("SELECT readout_key, until_day, input_sha256 FROM liber.readout ORDER BY 1")
            )
            return [tuple(row) for row in found]

    before, api, days = records(), Api.of(stack), ("2026-01-07T00:00:00Z", "2026-01-09T00:00:00Z")
    runs = api.backfilled("ab_readout", *days)
    assert [(run.state, run.tasks["readout"], run.tasks["finish"]) for run in runs] == [
        ("success", "success", "skipped")
    ] * 2  # at 03:00 of two days
    assert [api.keys("ab_readout")[run.run_id] for run in runs] == ["2026-01-07", "2026-01-08"]
    assert [run.run_id for run in api.backfilled("ab_readout", *days)] == [run.run_id for run in runs]
    assert records() == before
    assert [until.day for _, until, _ in before] == [6, 7, 8, 9, 10, 11, 12]


def test_the_event_of_an_asset_says_what_the_run_brought(stack: Stack, travelled: Settings) -> None:
    api, now = Api.of(stack), counts(db.connect(travelled))
    partitions, vectors, model = (
        api.events(f"liber://{asset}")[0]["extra"] for asset in ("partitions", "interest_vectors", "ctr_model")
    )
    assert partitions["rows"] == now["partitions"]
    assert 0 < partitions["users"] <= USERS
    assert datetime.fromisoformat(partitions["watermark"]) <= datetime.now(UTC)
    assert (vectors["rows"], len(vectors["encoder_versions"])) == (now["vectors"], 1)
    assert vectors["knowledge_versions"] == [with_version(travelled).knowledge_version]
    assert (model["model"], model["version"], model["reused"]) == (travelled.model_name, "1", False)
    assert (model["encoder_version"], set(model["auc"])) == (vectors["encoder_versions"][0], {"none", "liber"})
    read = {event["extra"]["key"]: event["partition_key"] for event in api.events("liber://ab_readout")}
    assert read[f"{EXPERIMENT}@2026-01-07"] == "2026-01-07"


def test_xcoms_hold_ids_and_counts_only(stack: Stack, travelled: Settings) -> None:
    with db.engine(stack.database_url("airflow")).connect() as connection:
        rows = connection.execute(text("SELECT dag_id, task_id, key, value::text AS value FROM xcom")).all()
    assert {row.dag_id for row in rows} >= {"ingest_behaviors", "learn_interests", "train_ctr", "promote_ctr"}
    assert [row for row in rows if len(row.value) > XCOM_BYTES] == []
    assert [row for row in rows if READER in row.value or "postgresql" in row.value] == []


def test_lineage_and_metrics_go_where_the_configuration_says(stack: Stack, travelled: Settings, told: Told) -> None:
    ended = told.completed()
    assert ended >= {"ingest_behaviors", "ingest_behaviors.seal", "learn_interests.encode", "train_ctr.train"}
    assert told.measured("dagrun.duration.success") >= {"ingest_behaviors", "train_ctr"}


def test_a_run_that_takes_too_long_alerts(stack: Stack, travelled: Settings, told: Told) -> None:
    alert = told.alert("deadline_missed", "train_ctr", SECONDS)
    assert alert["error"] == f"it has not ended within {DEADLINE} (LIBER_DEADLINE)"
    assert alert["link"].startswith(f"{stack.urls['airflow']}/dags/train_ctr/runs/")


def test_simulated_plays_are_never_learnt_from(travelled: Settings) -> None:
    with db.connect(travelled).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM liber.behavior WHERE kind = 'play'")).scalar_one() == 0


def test_a_run_with_an_unknown_key_fails_and_says_so(stack: Stack, travelled: Settings) -> None:
    api = AirflowApi.of(stack)
    *_, run = api.follow("train_ctr", api.trigger("train_ctr", {"bakcbone": "din"}))
    assert run.state == "failed"
    assert "bakcbone" in api.failure(run)


def test_a_missing_file_fails_the_run_at_once_in_one_sentence_and_alerts(
    stack: Stack, travelled: Settings, told: Told
) -> None:
    api = Api.of(stack)
    with pytest.raises(LiberError, match=r"nowhere\.jsonl"):
        journey(api, travelled, {"behaviors": ["/nowhere.jsonl"]})
    alert = told.alert("task_failed", "ingest_behaviors", SECONDS)
    assert "/nowhere.jsonl" in alert["error"]
    assert alert["task"] == "ingest"
    assert alert["link"].startswith(f"{stack.urls['airflow']}/dags/ingest_behaviors/runs/")
    (tried,) = api.instances(api.run("ingest_behaviors", alert["run"]), "ingest")
    assert tried["try_number"] == 1


def test_killed_and_repeated_nothing_is_lost_and_nothing_done_twice(
    stack: Stack, travelled: Settings, files: dict[str, list[str]]
) -> None:
    before = counts(db.connect(travelled))
    for process in local_stack.members(stack):
        process.kill()
    local_stack.up(stack)
    journey(AirflowApi.of(stack), travelled, files)
    assert counts(db.connect(travelled)) == before


def test_an_erased_user_is_in_no_table_and_once_the_models_named_are_deleted_in_no_file_of_mlflow(
    stack: Stack, travelled: Settings
) -> None:
    user, artifacts = f"{READER}{USERS}", stack.var / "mlflow"  # no other id begins like this one
    assert user in dump(stack, "liber")
    assert holding(artifacts, user)
    api = Api.of(stack)
    run = api.finished("erase_user", api.trigger("erase_user", {"users": [user]}))
    assert run.state == "success", api.failure(run)
    assert user not in dump(stack, "liber")
    assert user not in dump(stack, "mlflow")
    client = tracking.connect(travelled)
    for number in api.xcom(run, "erase")["models"]:  # as docs/privacy.md says
        version = client.get_model_version(travelled.model_name, number)
        client.delete_model_version(travelled.model_name, number)
        client.delete_logged_model(version.source.removeprefix("models:/"))
    store = f"postgresql+psycopg2://mlflow@127.0.0.1:{stack.ports['postgres']}/mlflow"
    login = {"MLFLOW_TRACKING_URI": travelled.require("mlflow_tracking_uri"), "PGPASSWORD": stack.secrets["mlflow"]}
    subprocess.run(
        [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", store, "--artifacts-destination", str(artifacts)],
        env={**os.environ, **login}, check=True,
    )  # fmt: skip
    assert holding(artifacts, user) == set()


def test_down_leaves_no_process(stack: Stack, travelled: Settings) -> None:
    environment = stack.environment()
    done = subprocess.run(
        [sys.executable, "-m", "liber_tasks.local", "down"],
        env={**os.environ, **{k: v for k, v in environment.items() if k.startswith("LIBER_") and k != "LIBER_STACK"}},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert local_stack.members(stack) == []
