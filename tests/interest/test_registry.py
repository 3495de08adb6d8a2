"""Templates in MLflow's prompt registry: asked of a real MLflow server."""

import json
import multiprocessing
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.config import load as settings_of
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest.items import learn_items
from liber_tasks.interest.prompts import Kind, PromptTemplate, template
from liber_tasks.interest.wording import registry
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, faulty
from tests.services_mlflow import mlflow_url  # noqa: F401

AWAY = "http://127.0.0.1:9"
SUMMARY = PromptTemplate("summary", "What does {{user}} like?\n{{ history }}")
SHIFT = PromptTemplate("shift", "Then: {{previous}}\nNow: {{current}}")


@pytest.fixture
def tracked(mlflow_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:  # noqa: F811
    """Settings, with prompts of this test only."""
    mark = uuid.uuid4().hex[:8]
    for kind, name in list(registry.NAMES.items()):
        monkeypatch.setitem(registry.NAMES, kind, f"{name}-{mark}")
    monkeypatch.chdir(tmp_path)  # where a client that asks nobody makes a database of its own
    yield pointed_at(mlflow_url)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:  # noqa: F811
    return MlflowClient(tracking_uri=mlflow_url, registry_uri=mlflow_url)


def pointed_at(url: str | None) -> Settings:
    return settings_of(local=False).model_copy(update={"mlflow_tracking_uri": url})


def added(client: MlflowClient, text: str | list[dict[str, Any]], kind: Kind = "summary") -> str:
    """Address of a version made by hand, as in MLflow's UI."""
    name = registry.NAMES[kind]
    if not client.search_prompts(f"name = '{name}'"):
        client.create_prompt(name)
    return f"prompts:/{name}/{client.create_prompt_version(name, text).version}"


def versions(client: MlflowClient, kind: Kind = "summary") -> list[Any]:
    return list(client.search_prompt_versions(registry.NAMES[kind]))


def test_the_installed_templates_are_registered_once_and_load_as_they_are(
    tracked: Settings, client: MlflowClient
) -> None:
    kinds: tuple[Kind, ...] = ("summary", "shift", "item")
    installed = {kind: template(kind) for kind in kinds}
    first = registry.register(tracked, installed)
    assert first == {kind: f"prompts:/{registry.NAMES[kind]}/1" for kind in installed}
    assert registry.register(tracked, installed) == first
    for kind, it in installed.items():
        assert [version.version for version in versions(client, kind)] == [1]
        loaded = registry.load(tracked, kind, first[kind])
        assert (loaded.name, loaded.text, loaded.uri) == (kind, it.text, first[kind])
        assert loaded.version == it.version


def test_a_run_about_items_registers_its_prompt_and_takes_another_one_from_there(
    tracked: Settings, client: MlflowClient, engine: Engine, settings: Settings
) -> None:
    add_user(engine, "a", 1, titles=("Heat",))
    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url, "mlflow_tracking_uri": tracked.mlflow_tracking_uri})
        first = learn_items(engine, live)
        own = added(client, "Say what {{item}} is.\n{{attributes}}", "item")
        second = learn_items(engine, live.model_copy(update={"item_prompt": own}))
    assert [first.calls, second.calls] == [1, 1]
    assert first.knowledge_version != second.knowledge_version
    assert 'Say what "Heat" is.\n"genres": "Comedy"' in list(seen.prompts)[1]
    kept = rows(engine, "SELECT registered FROM liber.knowledge_version ORDER BY created_at")
    assert [row.registered for row in kept] == [{"item": f"prompts:/{registry.NAMES['item']}/1"}, {"item": own}]
    no_item = added(client, "Say something.", "item")
    with pytest.raises(InputError, match=r"LIBER_ITEM_PROMPT: .* has no \{\{item\}\}"):
        learn_items(engine, live.model_copy(update={"item_prompt": no_item}))


def test_a_version_says_its_digest_its_kind_and_where_its_text_is_from(tracked: Settings, client: MlflowClient) -> None:
    registry.register(tracked, {"shift": SHIFT})
    copied = PromptTemplate("shift", SHIFT.text + "!", "prompts:/elsewhere/3")
    registry.register(tracked, {"shift": copied})
    copy, first = versions(client, "shift")
    assert first.tags["liber.kind"] == "shift"
    assert first.tags["liber.sha256"][:8] == SHIFT.version.removeprefix("shift/")
    assert first.commit_message == f"Template installed with LIBER, {SHIFT.version}"
    assert copy.commit_message == f"Copy of prompts:/elsewhere/3, {copied.version}"


def test_a_changed_text_is_a_new_version_beside_the_old(tracked: Settings) -> None:
    old = registry.register(tracked, {"summary": SUMMARY})["summary"]
    changed = PromptTemplate("summary", SUMMARY.text + "\nBe brief.")
    new = registry.register(tracked, {"summary": changed})["summary"]
    assert (old[-2:], new[-2:]) == ("/1", "/2")
    assert registry.load(tracked, "summary", old).text == SUMMARY.text
    assert registry.load(tracked, "summary", new).text == changed.text
    assert registry.register(tracked, {"summary": SUMMARY})["summary"] == old


def test_a_text_that_somebody_registered_by_hand_is_found(tracked: Settings, client: MlflowClient) -> None:
    by_hand = [added(client, text) for text in ("other {{history}}", SUMMARY.text, SUMMARY.text)]
    assert registry.register(tracked, {"summary": SUMMARY})["summary"] == by_hand[1]


def test_an_equal_text_is_found_behind_more_versions_than_one_page(
    tracked: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_PAGE", 2)
    first = registry.register(tracked, {"summary": SUMMARY})["summary"]
    for number in range(4):
        added(client, f"{number} {{{{history}}}}")
    assert registry.register(tracked, {"summary": SUMMARY})["summary"] == first


def test_a_prompt_left_without_versions_by_a_crash_is_completed(tracked: Settings, client: MlflowClient) -> None:
    client.create_prompt(registry.NAMES["summary"])
    assert registry.register(tracked, {"summary": SUMMARY})["summary"].endswith("/1")


def test_a_moved_alias_is_followed_at_once(tracked: Settings, client: MlflowClient) -> None:
    name = registry.NAMES["summary"]
    first, second = added(client, SUMMARY.text), added(client, "New: {{history}}")
    for address in (first, second, first):
        client.set_prompt_alias(name, "production", int(address[-1]))
        loaded = registry.load(tracked, "summary", f"prompts:/{name}@production")
        assert loaded.uri == address
        assert loaded.text == client.get_prompt_version(name, address[-1]).template
    assert registry.load(tracked, "summary", f"prompts:/{name}@latest").uri == second


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("summary", "Who is {{user}}?", "has no {{history}}: a summary prompt cannot do without it"),
        ("shift", "{{previous}}", "has no {{current}}: a shift prompt"),
        ("summary", "{{history}} {{password}}", "has {{password}}, which nothing fills: a summary prompt may use "),
        ("shift", "{{previous}} {{current}} {{history}}", "has {{history}}, which nothing fills: a shift"),
        ("summary", "{{history}} {% if user %}x{% endif %}", "{% outside a {{variable}}"),
        ("summary", "{{history}} {# note #}", "{# outside a {{variable}}"),
        ("summary", "{{history}} {{user.name}}", "{{ outside a {{variable}}"),
        ("summary", "{{history}} {{ user | upper }}", "{{ outside a {{variable}}"),
        ("summary", "{{history}} }}", "}} outside a {{variable}}"),
    ],
)
def test_a_text_that_is_no_template_of_its_kind_is_refused_by_name(
    tracked: Settings, client: MlflowClient, kind: Kind, text: str, complaint: str
) -> None:
    uri = added(client, text, kind)
    with pytest.raises(InputError) as refused:
        registry.load(tracked, kind, uri)
    assert str(refused.value).startswith(f"LIBER_{kind.upper()}_PROMPT: {uri} ")
    assert complaint in str(refused.value)


def test_chat_messages_are_refused(tracked: Settings, client: MlflowClient) -> None:
    uri = added(client, [{"role": "user", "content": "{{history}}"}])
    with pytest.raises(InputError, match=f"LIBER_SUMMARY_PROMPT: {uri} is a list of chat messages"):
        registry.load(tracked, "summary", uri)


@pytest.mark.parametrize("missing", ["{name}/7", "{name}@nobody", "{name}-else/1", "{name}-else@latest"])
def test_a_prompt_that_is_not_there_is_named(tracked: Settings, client: MlflowClient, missing: str) -> None:
    added(client, SUMMARY.text)
    uri = "prompts:/" + missing.format(name=registry.NAMES["summary"])
    with pytest.raises(InputError) as refused:
        registry.load(tracked, "summary", uri)
    assert str(refused.value).startswith(f"LIBER_SUMMARY_PROMPT is '{uri}': MLflow has no such prompt")


@pytest.mark.parametrize(
    "uri",
    ["", "liber-summary", "prompts:/liber-summary", "prompts:/a/b/1", "prompts:/a/0", "models:/a/1", "prompts:/a@"],
)
def test_a_malformed_address_is_refused_without_asking_mlflow(uri: str) -> None:
    with pytest.raises(InputError, match=r"LIBER_SHIFT_PROMPT is .*: write prompts:/NAME/VERSION or prompts:/NAME@"):
        registry.load(pointed_at(AWAY), "shift", uri)


def test_a_model_with_the_name_of_a_prompt_is_named(tracked: Settings, client: MlflowClient) -> None:
    name = registry.NAMES["summary"]
    client.create_registered_model(name)
    with pytest.raises(InputError, match=f"a model named {name}"):
        registry.register(tracked, {"summary": SUMMARY})
    with pytest.raises(InputError, match="no such prompt"):
        registry.load(tracked, "summary", f"prompts:/{name}/1")


def test_an_mlflow_that_is_away_or_not_set_is_said_so() -> None:
    for call in (
        lambda settings: registry.register(settings, {"summary": SUMMARY}),
        lambda settings: registry.load(settings, "summary", "prompts:/liber-summary/1"),
    ):
        with pytest.raises(ServiceUnavailable, match=f"MLflow does not answer at {AWAY}: check MLFLOW_TRACKING_URI"):
            call(pointed_at(AWAY))
        with pytest.raises(InputError, match="MLFLOW_TRACKING_URI is not set"):
            call(pointed_at(None))


def _register(url: str, name: str, barrier: Any, answers: Any) -> None:
    registry.NAMES["summary"] = name
    barrier.wait(60)
    answers.put(registry.register(pointed_at(url), {"summary": SUMMARY})["summary"])


def test_runs_that_register_at_the_same_moment_all_get_a_version_with_their_text(
    tracked: Settings, client: MlflowClient
) -> None:
    here = multiprocessing.get_context("spawn")
    barrier, answers = here.Barrier(2), here.Queue()
    name, url = registry.NAMES["summary"], tracked.require("mlflow_tracking_uri")
    runs = [here.Process(target=_register, args=(url, name, barrier, answers)) for _ in range(2)]
    for run in runs:
        run.start()
    got = {answers.get(timeout=120) for _ in runs}
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0]
    assert {version.template for version in versions(client)} == {SUMMARY.text}
    assert got <= {f"prompts:/{name}/{version.version}" for version in versions(client)}
    assert registry.register(tracked, {"summary": SUMMARY})["summary"] == f"prompts:/{name}/1"


def test_importing_the_modules_does_not_import_mlflow() -> None:
    code = (
        "import json, sys; import liber_tasks.interest.wording.registry, liber_tasks.interest.traces; "
        "print(json.dumps([name for name in sys.modules if name.split('.')[0] in ('mlflow', 'opentelemetry')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
