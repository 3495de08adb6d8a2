"""What every DAG file promises."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = {"torch", "transformers", "mlflow", "sklearn", "pandas", "pyarrow", "ibis", "tea_tasting", "sqlalchemy"}
LIGHT = {"airflow", "asgiref", "croniter", "dotenv", "liber_tasks", "packaging", "pydantic", "pydantic_settings"}
OURS = {"alerts", "config", "errors", "fusion", "fusion.options", "learning", "logs", "mlflow_client",
        "orchestration", "orchestration_failures", "training_jobs", "types"}  # fmt: skip
INSPECT = """
import importlib.util, json, re, sys
from airflow.sdk.definitions._internal.contextmanager import DagContext
DagContext.current_autoregister_module_name = "dag_file"
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["dag_file"] = module
spec.loader.exec_module(module)
dags = [dag for dag, _ in DagContext.autoregistered_dags]
print(json.dumps({
    "imported": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
    "ours": sorted(name for name in set(sys.modules) - before if name.startswith("liber_tasks")),
    "unknown": [name for name in re.findall(r"\\bliber\\.(\\w+)", open(sys.argv[1]).read())
                if not hasattr(module.liber, name)],
    "dags": [{
        "id": dag.dag_id, "tags": sorted(dag.tags), "doc": dag.doc_md, "catchup": dag.catchup,
        "active": dag.max_active_runs, "params": {k: p.schema for k, p in dag.params.items()},
        "described": [k for k, p in dag.params.items() if p.description],
        "owners": [task.owner for task in dag.tasks], "retries": [task.retries for task in dag.tasks],
        "pools": {task.task_id: [task.pool, task.pool_slots] for task in dag.tasks},
        "after": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "policies": [type(task.retry_policy).__name__ for task in dag.tasks],
        "alerts": [bool(task.on_failure_callback) for task in dag.tasks],
        "late": [alert.interval.total_seconds() for alert in dag.deadline or ()],
        "mapped": [task.task_id for task in dag.tasks if task.is_mapped],
        "unanswered": {task.task_id: task.defaults for task in dag.tasks if hasattr(task, "response_timeout")},
    } for dag in dags],
}))
"""


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.stem)
def inspected(request: pytest.FixtureRequest, airflow_home: Path) -> dict[str, Any]:
    """A DAG file imported by a fresh interpreter."""
    environment = {**os.environ, "AIRFLOW_HOME": str(airflow_home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                   "LIBER_LLM_IN_FLIGHT": "9", "LIBER_LEARN_SHARDS": "3", "LIBER_DEADLINE": "2h"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", INSPECT, str(request.param)], env=environment, capture_output=True, text=True, check=True
    )
    return {"file": request.param, **json.loads(done.stdout.splitlines()[-1])}


def test_one_dag_a_file_named_after_it(inspected: dict[str, Any]) -> None:
    assert [dag["id"] for dag in inspected["dags"]] == [inspected["file"].stem]


def test_importing_it_loads_nothing_heavy(inspected: dict[str, Any]) -> None:
    assert HEAVY & set(inspected["imported"]) == set()


def test_importing_it_loads_few_modules_and_known_ones(inspected: dict[str, Any]) -> None:
    """What an import costs; `python -m tests.bench dagimport` measures it."""
    libraries = set(inspected["imported"]) - sys.stdlib_module_names - {"dag_file"}
    assert libraries <= LIGHT
    assert {name.partition(".")[2] for name in inspected["ours"]} - {""} <= OURS


def test_what_its_tasks_call_of_the_orchestration_exists(inspected: dict[str, Any]) -> None:
    """Inside a task a wrong name would show when it runs."""
    assert inspected["unknown"] == []


def test_it_is_wiring_only(inspected: dict[str, Any]) -> None:
    assert len(inspected["file"].read_text().splitlines()) <= 80


def test_it_says_what_it_does_when_not_to_run_it_and_who_owns_it(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    assert "liber" in dag["tags"]
    assert "Do not run" in dag["doc"]
    assert set(dag["owners"]) == {"liber"}


def test_runs_do_not_overlap_and_tasks_are_retried(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    assert dag["active"] == 1
    assert not dag["catchup"]
    assert all(dag["retries"])


def test_every_task_has_the_typed_retry_rules_and_alerts_when_it_has_failed(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    assert set(dag["policies"]) == {"ExceptionRetryPolicy"}
    assert all(dag["alerts"])


def test_a_run_is_late_after_the_configured_time_unless_it_waits_for_a_person(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    assert dag["late"] == ([] if dag["id"] == "promote_ctr" else [2 * 60 * 60])


def test_all_tasks_follow_from_one_that_checks_the_parameters(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    assert len([task for task, before in dag["after"].items() if not before]) == 1


def test_every_parameter_is_typed_and_explained(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    assert all("type" in schema for schema in dag["params"].values())
    assert set(dag["described"]) == set(dag["params"])


def test_llm_calls_run_in_their_pool_with_a_slot_for_each_call_in_flight(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    in_pool = {task: slots for task, (pool, slots) in dag["pools"].items() if pool == "llm"}
    learns = dag["id"] in ("learn_interests", "learn_items", "backfill_knowledge")
    assert in_pool == ({"learn": 3} if learns else {})  # 9 calls in flight over 3 tasks


def test_only_an_approval_moves_the_champion(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    promotes = dag["id"] == "promote_ctr"
    assert dag["unanswered"] == ({"approve": ["Reject"]} if promotes else {})  # silence is no yes
    assert ("approve" in dag["after"].get("promote", [])) == promotes
    uses = {word for word in ("promote(", "rollback(") if f"promotion.{word}" in inspected["file"].read_text()}
    assert uses == ({"promote("} if promotes else set())


def test_training_tries_candidates_before_it_compares(inspected: dict[str, Any]) -> None:
    (dag,) = inspected["dags"]
    chain = {"candidates": [], "fit_candidate": ["candidates"], "choose": ["fit_candidate"], "train": ["choose"]}
    trains = dag["id"] == "train_ctr"
    assert (dag["after"] == chain) == trains
    assert (dag["mapped"] == ["fit_candidate"]) == trains
