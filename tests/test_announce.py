"""What the event of an asset says, counted in a real database and put where Airflow's task runner looks for it."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from sqlalchemy import Engine

from liber_tasks import orchestration as liber

BROUGHT = """
INSERT INTO liber.user_profile (user_id) VALUES ('u1'), ('u2');
INSERT INTO liber.item (item_id, title) VALUES ('i1', 'One'), ('i2', 'Two');
INSERT INTO liber.behavior_partition
(user_key, partition_no, first_seq, last_seq, n_behaviors, started_at, ended_at, sealed_at, reason)
SELECT u, p, 20 * p - 19, 20 * p, 20, now(), now(), now(), 'count'
FROM (VALUES (1, 1), (1, 2), (2, 1)) AS made (u, p);
INSERT INTO liber.knowledge_version (knowledge_version, model, parameters)
VALUES ('kv', 'm', '{}'), ('items', 'm', '{}');
INSERT INTO liber.encoder (encoder_version, model, pooling, dtype, dimension, pca_sha256, pca, fitted_texts,
                           explained_variance)
VALUES ('e', 'minilm', 'mean', 'fp32', 2, 'x', 'x', 2, 1);
INSERT INTO liber.interest_vector (user_key, partition_no, encoder_version, knowledge_version, vector)
VALUES (1, 1, 'e', 'kv', '[1,2]'), (2, 1, 'e', 'kv', '[1,2]');
INSERT INTO liber.item_encoder (encoder_version, kind, knowledge_version, model, dimension)
VALUES ('d', 'dense', 'items', 'minilm', 2), ('l', 'lexical', NULL, 'words', 2);
INSERT INTO liber.item_vector (item_key, encoder_version, vector, text_sha256)
VALUES (1, 'd', '[1,2]', 'x'), (1, 'l', '[1,2]', 'x');
"""
SAID = {
    "items": {"rows": 2},
    "partitions": {"rows": 3, "users": 2},
    "interest_vectors": {"rows": 2, "knowledge_versions": ["kv"], "encoder_versions": ["e"]},
    "item_vectors": {"rows": 2, "knowledge_versions": ["items"], "encoder_versions": ["d", "l"]},
}
ASSETS = {"items": liber.ITEMS, "partitions": liber.PARTITIONS, "interest_vectors": liber.INTEREST_VECTORS,
          "item_vectors": liber.ITEM_VECTORS}  # fmt: skip


@pytest.fixture
def brought(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that a run has just brought rows to, known to tasks by Airflow's Connection."""
    for name, uri in (("POSTGRES", database_url), ("LLM", "http://127.0.0.1"), ("MLFLOW", "http://127.0.0.1")):
        monkeypatch.setenv(f"AIRFLOW_CONN_LIBER_{name}", uri.replace("postgresql://", "postgres://"))
    with engine.begin() as connection:
        connection.connection.cursor().execute(BROUGHT)


def context(run: str) -> dict[str, Any]:
    return {"dag": SimpleNamespace(dag_id="made"), "dag_run": SimpleNamespace(run_id=run),
            "outlet_events": OutletEventAccessors()}  # fmt: skip


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("what", SAID)
def test_an_event_carries_counts_versions_and_what_the_dag_adds(what: str) -> None:
    asset, running = ASSETS[what], context("first")
    assert liber.announce(running, asset, watermark="2026-01-31") == SAID[what]["rows"]
    assert running["outlet_events"][asset].extra == SAID[what] | {"watermark": "2026-01-31"}


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("asset", ASSETS.values(), ids=ASSETS)
def test_a_run_that_brought_nothing_makes_no_event(asset: Asset) -> None:
    liber.announce(context("first"), asset)
    with pytest.raises(AirflowSkipException, match="no new"):
        liber.announce(context("second"), asset)
