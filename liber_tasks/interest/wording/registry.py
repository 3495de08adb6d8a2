"""Prompt templates in MLflow's prompt registry: putting ours there, and taking the ones that the settings name.

A template is known by the digest of its text, wherever it came from; an MLflow address only says where it lies.
mlflow is imported where it is used: importing this module costs a DAG file nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.interest.prompts import Kind, PromptTemplate, check_variables, digest
from liber_tasks.mlflow_client import connected

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAMES: dict[Kind, str] = {"summary": "liber-summary", "shift": "liber-shift", "item": "liber-item"}
SETTING: dict[Kind, str] = {
    "summary": "LIBER_SUMMARY_PROMPT", "shift": "LIBER_SHIFT_PROMPT", "item": "LIBER_ITEM_PROMPT",
}  # fmt: skip
_URI = re.compile(r"prompts:/(?P<name>[A-Za-z0-9_.-]+)(?:/(?P<version>[1-9]\d{0,8})|@(?P<alias>[A-Za-z0-9_.-]+))")
_VARIABLE = re.compile(r"{{\s*\w+\s*}}")
_MARKS = ("{{", "}}", "{%", "{#")
_PAGE = 100


def register(settings: Settings, templates: Mapping[Kind, PromptTemplate]) -> dict[Kind, str]:
    """Put templates into the registry where their text is not there yet.

    A second run adds nothing. Runs at the same moment may add an equal version each; the lowest of equal ones counts.
    A new version is tagged `liber.sha256` (digest of its text) and `liber.kind`.

    Args:
        settings: `mlflow_tracking_uri`.
        templates: by kind; each goes to the prompt `NAMES[kind]`.

    Returns:
        `prompts:/NAME/VERSION` of each.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set, or a model has the name of a prompt.
        ServiceUnavailable: MLflow does not answer.
    """
    with connected(settings) as client:
        return {kind: _registered(client, kind, template) for kind, template in templates.items()}


def load(settings: Settings, kind: Kind, uri: str) -> PromptTemplate:
    """The template at an address, asked anew each time: an alias moved since the last run is followed.

    Args:
        settings: `mlflow_tracking_uri`.
        kind: what the template is for.
        uri: `prompts:/NAME/VERSION` or `prompts:/NAME@ALIAS`; MLflow's own alias `latest` is the newest version.

    Returns:
        The template; its `uri` is always `prompts:/NAME/VERSION`.

    Raises:
        InputError: the address is malformed or nothing is there, or what is there is no template of this kind; names
            the setting, the address and the variable.
        ServiceUnavailable: MLflow does not answer.
    """
    setting = SETTING[kind]
    address = _URI.fullmatch(uri)
    if address is None:
        raise InputError(f"{setting} is {uri!r}: write prompts:/NAME/VERSION or prompts:/NAME@ALIAS.")
    with connected(settings) as client:
        found = _find(client, address["name"], address["version"], address["alias"])
    if found is None:
        raise InputError(
            f"{setting} is {uri!r}: MLflow has no such prompt, version or alias; choose one that it lists, "
            "or leave the setting empty for the installed template."
        )
    fixed = f"prompts:/{found.name}/{found.version}"
    if not found.is_text_prompt:
        raise InputError(f"{setting}: {fixed} is a list of chat messages: register one text instead.")
    loaded = PromptTemplate(kind, found.template, fixed)
    rest = _VARIABLE.sub("", loaded.text)
    for mark in _MARKS:
        if mark in rest:
            raise InputError(f"{setting}: {fixed} has {mark} outside a {{{{variable}}}}: no other markup is filled in.")
    check_variables(loaded, f"{setting}: {fixed}")
    return loaded


def _registered(client: "MlflowClient", kind: Kind, template: PromptTemplate) -> str:
    """Address of the lowest version with the template's text, made if there is none."""
    name = NAMES[kind]
    equal = [int(version.version) for version in _versions(client, name) if version.template == template.text]
    return f"prompts:/{name}/{min(equal) if equal else _add(client, kind, template)}"


def _versions(client: "MlflowClient", name: str) -> Iterator[Any]:
    """Every version of a prompt; none where there is no prompt of that name."""
    from mlflow.exceptions import MlflowException

    token = None
    while True:
        try:
            page = client.search_prompt_versions(name, _PAGE, token)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise _taken(name) from error
            raise
        yield from page
        token = page.token
        if not token:
            return


def _add(client: "MlflowClient", kind: Kind, template: PromptTemplate) -> int:
    from mlflow.exceptions import MlflowException

    name = NAMES[kind]
    try:
        client.create_prompt(name, description=f"What LIBER asks an LLM for a {kind}.", tags={"liber.kind": kind})
    except MlflowException as error:  # there already, or another process was first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"Copy of {template.uri}" if template.uri else "Template installed with LIBER"
    made = client.create_prompt_version(
        name, template.text, description=f"{source}, {template.version}",
        tags={"liber.sha256": digest(template.text), "liber.kind": kind},
    )  # fmt: skip
    return int(made.version)


def _find(client: "MlflowClient", name: str, version: str | None, alias: str | None) -> Any:
    """The prompt version, or None. Asked of the registry itself: `load_prompt` would remember where an alias was."""
    from mlflow.exceptions import MlflowException

    try:
        if version is not None:
            return client.get_prompt_version(name, version)
        return client.get_prompt_version_by_alias(name, str(alias))
    except MlflowException as error:  # a missing alias and a model of that name are "invalid" to MLflow
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
            return None
        raise


def _taken(name: str) -> InputError:
    return InputError(f"MLflow has a model named {name}, the name of our prompt: rename the model.")
