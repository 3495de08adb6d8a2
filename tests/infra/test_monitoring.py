"""Prometheus' and Grafana's files: they parse, point at services that exist, and ask for metrics that are served."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.infra.deployment import INFRA, filled, services

MONITORING = INFRA / "monitoring"
PROMETHEUS = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
MAPPINGS = yaml.safe_load((MONITORING / "statsd.yml").read_text())["mappings"]
DASHBOARD = json.loads((MONITORING / "grafana" / "dashboards" / "liber.json").read_text())


def expressions() -> Iterator[str]:
    """Of the alerts and of the dashboard's panels."""
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def selectors(node: Any) -> Iterator[Any]:
    """The vector selectors of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vs", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from selectors(inner)
    for argument in getattr(node, "args", None) or []:
        yield from selectors(argument)


def test_what_prometheus_scrapes_is_a_service_and_a_port_of_it() -> None:
    known = set(services(filled())) | {"llm", "127.0.0.1"}
    configs = [config for job in PROMETHEUS["scrape_configs"] for config in job["static_configs"]]
    targets = [target for config in configs for target in config["targets"]]
    assert {target.split(":")[0] for target in targets} <= known
    command = services(filled())["metrics"]["command"]
    assert f"metrics:{command[command.index('--port') + 1]}" in targets
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]


def test_every_expression_is_promql() -> None:
    for expression in expressions():
        assert list(selectors(promql_parser.parse(expression))), expression


def test_every_metric_that_is_asked_for_is_served(database_url: str, tmp_path: Path) -> None:
    """LIBER's by `liber metrics`; Airflow's by the mapping of its StatsD names; `up` by Prometheus."""
    said = subprocess.run(
        [Path(sys.executable).with_name("liber"), "metrics", "--once"], capture_output=True, text=True, check=True,
        env={"LIBER_DATABASE_URL": database_url, "LIBER_READER_DATABASE_URL": database_url, "LIBER_VAR": str(tmp_path),
             "PYTHONPATH": str(INFRA.parent)},
    ).stdout  # fmt: skip
    ours = {family.name for family in text_string_to_metric_families(said)}
    served = ours | {mapping["name"] for mapping in MAPPINGS} | {"up"}
    for expression in expressions():
        for selector in selectors(promql_parser.parse(expression)):
            assert selector.name in served or re.sub("_(total|bucket)$", "", selector.name) in served, expression


@pytest.mark.parametrize(
    ("name", "mapped"),
    [
        ("airflow.dagrun.duration.success.learn_interests", {"dag": "learn_interests", "state": "success"}),
        ("airflow.dag.learn_interests.learn.duration", {"dag": "learn_interests", "task": "learn"}),
        ("airflow.ti.finish.learn_items.plan.failed", {"dag": "learn_items", "task": "plan", "state": "failed"}),
        ("airflow.pool.open_slots.llm", {"pool": "llm"}),
        ("airflow.pool.queued_slots.llm", {"pool": "llm"}),
    ],
)  # fmt: skip
def test_airflows_names_become_metrics_with_labels(name: str, mapped: dict[str, str]) -> None:
    """By the exporter's rule: a star is a part between dots, the first mapping that fits counts."""
    for mapping in MAPPINGS:
        pattern = re.escape(mapping["match"]).replace(r"\*", "([^.]+)")
        if found := re.fullmatch(pattern, name):
            labels = {key: re.sub(r"\$(\d)", lambda at: found[int(at[1])], str(value))
                      for key, value in mapping["labels"].items()}  # fmt: skip
            assert labels == mapped
            return
    pytest.fail(f"no mapping fits {name}")


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "liber.yml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in services(filled())["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    used = [place["datasource"]["uid"] for panel in DASHBOARD["panels"] for place in (panel, *panel["targets"])]
    assert set(used) == {source["uid"]}
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({str(panel["gridPos"]) for panel in panels}) == len(panels)
