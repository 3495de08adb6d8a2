"""infra/compose.yaml: valid, pinned, on this machine's interface only, no secret in it, every name in it real."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli.cli_parser import get_parser

from liber_tasks.config import Settings
from tests.infra.deployment import INFRA, TEXT, VARIABLE, WHOLE, example, filled, interpolated, secrets, services

BIN = Path(sys.executable).parent
RUN = {"init", "mlflow"}  # whole, in test_deploy
OURS = [name for name, service in services(filled()).items() if service["image"].startswith("liber:")]


def test_it_is_a_compose_file(tmp_path: Path) -> None:
    """The published schema, on the file as it is and as Compose would see it."""
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(interpolated(WHOLE, filled())))
    for file in (INFRA / "compose.yaml", tmp_path / "compose.yaml"):
        done = subprocess.run(
            [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("missing", secrets())
def test_without_a_secret_nothing_starts(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        services(filled() | {missing: ""})


def test_the_example_names_every_secret_and_gives_none() -> None:
    assert set(secrets()) <= set(example())
    assert {name for name, value in example().items() if value} == {"LIBER_BIND"}
    used = {found["name"] for found in VARIABLE.finditer(TEXT) if found["name"]}
    assert set(example()) <= used


def test_what_is_secret_comes_from_a_variable_and_has_no_default() -> None:
    for found in VARIABLE.finditer(TEXT):
        if re.search("PASSWORD|SECRET|TOKEN|KEY", found["name"] or "") and found["name"] != "HF_TOKEN":
            assert found["op"] == ":?", found[0]
    for name, service in services(filled()).items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|_KEY|AUTH$|DATABASE_URL|CONN|BROKER_URL", variable) and value:
                assert "filled-in" in value or value.startswith("/"), (name, variable)


def test_no_secret_is_an_argument() -> None:
    """Arguments are seen in the list of processes."""
    given = [value for value in filled().values() if value.startswith("filled-in")]
    for name, service in services(filled()).items():
        said = json.dumps([service.get("command"), service.get("healthcheck"), service.get("labels")])
        assert not any(secret in said for secret in given), name


def test_ports_are_published_on_this_machine_unless_told_otherwise() -> None:
    def published(**given: str) -> set[str]:
        ports = [port for service in services(filled() | given).values() for port in service.get("ports", [])]
        assert all(isinstance(port, str) for port in ports)
        return {port.rsplit(":", 2)[0] for port in ports}

    assert published() == published(LIBER_BIND="") == {"127.0.0.1"}
    assert published(LIBER_BIND="10.0.0.7") == {"10.0.0.7"}
    assert not [name for name, service in services(filled()).items() if "network_mode" in service]


@pytest.mark.parametrize("name", services(filled()))
def test_every_service_is_pinned_watched_bounded_and_started_again(name: str) -> None:
    service = services(filled())[name]
    assert re.fullmatch(r"[\w./-]+:(?!latest)[\w.-]+", service["image"])
    assert service["restart"] in ("unless-stopped", "on-failure:3")
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])
    assert service["logging"]["options"]["max-size"]
    assert "inside" in service["networks"]
    if name != "init":
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
    if name in OURS:
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_services_wait_for_what_they_need() -> None:
    all_of = services(filled())
    for name in set(OURS) - {"init"}:
        assert all_of[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}, name
    assert all_of["init"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_only_what_makes_and_checks_tokens_holds_the_keys() -> None:
    """Tasks are the users' code and read what others wrote: a worker can neither forge a token nor open Connections."""
    keys = {"AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__CORE__FERNET_KEY"}
    holders = {name for name, service in services(filled()).items() if keys & set(service.get("environment", {}))}
    assert holders == {"init", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
    administrators = {name for name, service in services(filled()).items() if _holds(service, "POSTGRES_PASSWORD")}
    assert administrators == {"postgres", "init"}
    readers = {name for name in OURS if not _holds(services(filled())[name], "LIBER_DB_PASSWORD")}
    assert readers == {"mlflow", "dashboard", "metrics"}


def test_volumes_configs_and_secrets_that_are_named_exist() -> None:
    whole = interpolated(WHOLE, filled())
    named = {volume.split(":")[0] for service in whole["services"].values() for volume in service.get("volumes", [])}
    assert {name for name in named if "/" not in name} == set(whole["volumes"])
    assert all((INFRA / name).exists() for name in named if name.startswith("./monitoring"))
    for kind in ("configs", "secrets"):
        used = {each["source"] for service in whole["services"].values() for each in service.get(kind, [])}
        assert used == set(whole[kind])
    assert all((INFRA / config["file"]).is_file() for config in whole["configs"].values())


def test_settings_that_are_named_exist() -> None:
    known = {f"LIBER_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        assert {each for each in services(filled())[name]["environment"] if each.startswith("LIBER_")} <= known, name
    image = (INFRA / "Dockerfile").read_text()
    assert set(re.findall(r"\b(LIBER_\w+)=", image)) <= known | {"LIBER_VAR"}


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith("airflow-")])
def test_airflow_knows_its_commands(name: str) -> None:
    program, *arguments = (str(part) for part in services(filled())[name]["command"])
    assert program == "airflow"
    assert callable(get_parser().parse_args(arguments).func)


@pytest.mark.parametrize("name", sorted({name for name in OURS if not name.startswith("airflow-")} - RUN))
def test_other_commands_are_ours_and_know_their_options(name: str, tmp_path: Path) -> None:
    command = [str(part) for part in services(filled())[name]["command"]]
    program, rest = (command[:3], command[3:]) if command[:2] == ["python", "-m"] else (command[:2], command[2:])
    environment = {"PATH": str(BIN), "HOME": str(tmp_path), "COLUMNS": "200", "PYTHONPATH": str(INFRA.parent)}
    said = subprocess.run([*program, "--help"], env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    for option in (part for part in rest if part.startswith("--")):
        assert re.search(rf"{option}\b", said.stdout), option


def test_the_dockerfile_is_clean_and_leaves_root() -> None:
    done = subprocess.run([BIN / "hadolint", INFRA / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    lines = (INFRA / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 50000"]
    assert not [line for line in lines if re.search(r"(PASSWORD|SECRET|_KEY)=", line)]


def test_the_image_is_made_of_listed_folders_only() -> None:
    """The list keeps `.env`, data and tests out of the build; what the Dockerfile copies is in it."""
    listed = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(line for line in listed if not line.startswith("#")) == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    assert {f"!{name}" for names in copied for name in names.split()} == {line for line in listed if line[0] == "!"}
    assert all((INFRA.parent / name).exists() for names in copied for name in names.split())


def _holds(service: dict[str, Any], variable: str) -> bool:
    return any(filled()[variable] in str(value) for value in service.get("environment", {}).values())
