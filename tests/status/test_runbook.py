"""Every alert has its page, every page its alert; rules name only what is exported, and fire when they should."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from liber_tasks.config import ROOT, Settings
from liber_tasks.status.families import families, own
from liber_tasks.status.state import LlmUse, Problem, Stage, State

RULES = ROOT / "infra" / "monitoring" / "alerts.yml"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PROMTOOL = shutil.which("promtool", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
NOW = datetime(2026, 1, 5, tzinfo=UTC)
STAGES = ("ingest", "partition", "summary", "shift", "encode", "item knowledge", "train", "readout")
FULL = State(
    counted_at=NOW,
    seconds=1.0,
    stages=tuple(Stage(name, "things", 5, 3, 1, NOW - timedelta(days=2)) for name in STAGES),
    llm=(LlmUse("kv", "m", 4, 3, 100, 10, 2.0),),
    problems=(Problem("ingest", "rejected", "kind is unknown", 2), Problem("shift", "failed", "timeout", 1)),
    newest={"behaviour": NOW, "partition": NOW, "text": NOW, "vector": NOW, "model": NOW, "readout": NOW},
)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def exported(settings: Settings) -> set[str]:
    """Names of all samples there can be."""
    priced = settings.model_copy(update={"llm_price_in": 1.0, "llm_price_out": 1.0})
    found = [*own(priced, True), *families(FULL, priced, NOW)]
    return {sample.name for family in found for sample in family.samples}


def test_every_alert_has_a_heading_and_every_heading_an_alert() -> None:
    section = RUNBOOK.split("\n## Alerts\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_metric_a_rule_names_is_exported(settings: Settings) -> None:
    named = {name for rule in rules() for name in re.findall(r"\bliber_\w+", rule["expr"])}
    assert named
    assert named <= exported(settings)


def test_every_stage_and_kind_a_rule_names_is_exported(settings: Settings) -> None:
    samples = [sample for family in families(FULL, settings, NOW) for sample in family.samples]
    for rule in rules():
        for label, value in re.findall(r'(stage|of)!?="(\w+)"', rule["expr"]):
            assert any(sample.labels.get(label) == value for sample in samples), rule["alert"]


def test_the_runbook_explains_every_metric(settings: Settings) -> None:
    table = RUNBOOK.split("\n### Metrics\n")[1].split("\n### ")[0]
    prefix, told = "", set()
    for name in re.findall(
        r"`(_?[a-z_]+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line)
    ):
        prefix = prefix if name.startswith("_") else name.rpartition("_")[0]
        told.add(prefix + name if name.startswith("_") else name)
    assert told == exported(settings)


def test_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    assert PROMTOOL is not None, "infra/check_promtool.sh .venv/bin fetches it"
    (tmp_path / "alerts.yml").write_text(RULES.read_text())
    cases = Path(__file__).with_name("alerts_test.yml").read_text()
    (tmp_path / "alerts_test.yml").write_text(cases)
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([str(PROMTOOL), *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    fired = set(re.findall(r"alertname: (\w+)", cases))
    assert fired == {rule["alert"] for rule in rules()}, "a case for each alert"
