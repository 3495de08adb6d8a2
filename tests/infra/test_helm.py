"""infra/helm/values.yaml: keys the chart has, no password, and a pod template as the executor itself reads it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import ApiClient

from tests.infra.deployment import INFRA

TEXT = (INFRA / "helm" / "values.yaml").read_text(encoding="utf-8")
VALUES = yaml.safe_load(TEXT)
DOCKERFILE = (INFRA / "Dockerfile").read_text(encoding="utf-8")

# Of the chart's parameters reference, 1.22. The chart's own schema is in no package registry: these names are all
# that is checked here, `helm lint` against the chart checks the rest.
DOCUMENTED = {
    "airflowLocalSettings", "airflowVersion", "apiSecretKeySecretName", "apiServer", "config", "createUserJob",
    "dagProcessor", "dags", "data", "defaultAirflowTag", "executor", "extraEnvFrom", "fernetKeySecretName", "flower",
    "gid", "images", "jwtSecretName", "logs", "migrateDatabaseJob", "networkPolicies", "pgbouncer", "podTemplate",
    "postgresql", "redis", "scheduler", "securityContexts", "statsd", "triggerer", "uid",
}  # fmt: skip


def pod() -> dict[str, Any]:
    """The template as the chart would fill it in."""
    filled = re.sub(r"\{\{.*?\}\}", "filled-in", VALUES["podTemplate"])
    return dict(yaml.safe_load(filled))


def test_every_key_is_the_charts() -> None:
    assert set(VALUES) <= DOCUMENTED


def test_secrets_are_names_of_secrets() -> None:
    assert not re.search(r"(?i)pass(word)?:|connection:|fernetKey:|secretKey:", TEXT)
    assert VALUES["data"] == {"metadataSecretName": "liber-airflow-metadata"}
    assert all(VALUES[name].startswith("liber-") for name in VALUES if name.endswith("SecretName"))
    assert VALUES["createUserJob"]["defaultUser"]["enabled"] is False  # the chart's has the password admin
    assert not any(VALUES[part]["enabled"] for part in ("postgresql", "redis"))  # theirs have default passwords


def test_the_pod_template_is_read_whole_by_the_executor(tmp_path: Path) -> None:
    """What the Kubernetes client does not know it drops, so nothing may be missing afterwards."""
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(pod()))
    read = PodGenerator.deserialize_model_file(str(file))
    assert ApiClient().sanitize_for_serialization(read) == pod()
    assert read.spec.containers[0].name == "base"  # the one the executor gives its command to


def test_a_tasks_pod_is_bounded_and_may_do_little() -> None:
    spec = pod()["spec"]
    (container,) = spec["containers"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert container["resources"]["limits"]["memory"]
    assert "gpu" not in str(spec)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert [each["name"] for each in container["env"]] == ["AIRFLOW__CORE__EXECUTOR"]  # no key, no metadata database


def test_every_component_is_bounded() -> None:
    for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "statsd"):
        assert VALUES[part]["resources"]["limits"]["memory"], part
        assert set(VALUES[part]["resources"]["requests"]) == {"cpu", "memory"}, part


def test_user_and_folders_are_the_images() -> None:
    assert f"--uid {VALUES['uid']} --gid {VALUES['gid']}" in DOCKERFILE
    assert f"AIRFLOW__CORE__DAGS_FOLDER={VALUES['config']['core']['dags_folder']} " in DOCKERFILE
    assert f"AIRFLOW__CORE__PLUGINS_FOLDER={VALUES['config']['core']['plugins_folder']} " in DOCKERFILE
    for mount in pod()["spec"]["containers"][0]["volumeMounts"]:
        assert Path(mount["mountPath"]).parent.as_posix() in DOCKERFILE


@pytest.mark.parametrize("section", VALUES["config"])
def test_what_is_configured_is_an_option_of_airflow(section: str) -> None:
    known = conf.as_dict(display_source=False, display_sensitive=False)
    assert set(VALUES["config"][section]) <= set(known[section])


def test_airflows_version_is_the_pinned_one() -> None:
    (pinned,) = re.findall(r"^apache-airflow==([\d.]+)", (INFRA.parent / "requirements.txt").read_text(), re.MULTILINE)
    assert VALUES["airflowVersion"] == VALUES["defaultAirflowTag"] == pinned
