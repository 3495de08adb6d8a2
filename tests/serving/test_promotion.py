"""Nothing serves that nobody agreed to; what served before is one move away."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import typer
from mlflow import MlflowClient
from typer.testing import CliRunner

from liber_tasks import cli_model
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.serving import promotion


class Registry:
    """A registered model with versions that hold tags only."""

    def __init__(self, url: str) -> None:
        name = f"promotion_{secrets.token_hex(4)}"
        self.settings = Settings(_env_file=None, model_name=name)  # type: ignore[call-arg]
        self.settings = self.settings.model_copy(update={"mlflow_tracking_uri": url})
        self.client = MlflowClient(url, url)
        self.client.create_registered_model(name)

    def train(self, **tags: str) -> str:
        """A new challenger."""
        name = self.settings.model_name
        run = self.client.create_run("0").info
        found = self.client.create_model_version(
            name, f"{run.artifact_uri}/model", run.run_id,
            {f"liber.{key}": value for key, value in tags.items()}, await_creation_for=0,
        )  # fmt: skip
        self.client.set_registered_model_alias(name, "challenger", found.version)
        return str(found.version)

    @property
    def aliases(self) -> dict[str, str]:
        return {name: str(v) for name, v in self.client.get_registered_model(self.settings.model_name).aliases.items()}

    def compare(self, version: str | None = None) -> promotion.Comparison | None:
        return promotion.compare(self.client, self.settings, version)

    def promote(self, version: str, **given: Any) -> promotion.Moved:
        return promotion.promote(self.client, self.settings, version, **given)

    def rollback(self) -> promotion.Moved:
        return promotion.rollback(self.client, self.settings)


@pytest.fixture
def registry(mlflow_url: str) -> Registry:
    return Registry(mlflow_url)


def test_the_comparison_shows_measures_and_versions_side_by_side(registry: Registry) -> None:
    registry.promote(registry.train(test_auc_mean="0.7601", knowledge_version="k1", dataset_digest="d1"))
    registry.train(
        test_auc_mean="0.7652", lift="+0.0043 [+0.0019, +0.0070]", knowledge_version="k2", dataset_digest="d1"
    )
    found = registry.compare()
    assert found is not None
    assert (found.version, found.champion) == ("2", "1")
    lines = found.text().splitlines()
    assert "| test_auc_mean | 0.7601 | 0.7652 | +0.0051 |" in lines
    assert "| lift |  | +0.0043 [+0.0019, +0.0070] |  |" in lines
    assert "| knowledge_version | k1 | k2 |  |" in lines
    assert lines.index("| lift |  | +0.0043 [+0.0019, +0.0070] |  |") < lines.index(
        "| knowledge_version | k1 | k2 |  |"
    )
    assert not any("different data" in line for line in lines)
    assert found.subject() == f"Promote {registry.settings.model_name} version 2 to @champion?"


def test_metrics_on_different_data_are_not_passed_off_as_comparable(registry: Registry) -> None:
    registry.promote(registry.train(dataset_digest="d1"))
    registry.train(dataset_digest="d2")
    found = registry.compare()
    assert found is not None
    assert "different data: their metrics do not compare" in found.text()


def test_a_tag_cannot_break_the_table(registry: Registry) -> None:
    registry.train(note="a | b\n| c", long="x" * 500)
    found = registry.compare()
    assert found is not None
    rows = [line for line in found.text().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}
    assert max(map(len, rows)) < 200


def test_the_first_model_waits_for_a_yes_like_any_other(registry: Registry) -> None:
    version = registry.train()
    assert registry.aliases == {"challenger": version}
    found = registry.compare()
    assert found is not None
    assert found.champion is None
    assert registry.promote(version, instead_of=None) == promotion.Moved(
        registry.settings.model_name, version, None, changed=True
    )
    assert registry.aliases == {"challenger": version, "champion": version}


def test_a_promotion_keeps_the_way_back_and_a_rollback_is_one_move(registry: Registry) -> None:
    first = registry.train()
    registry.promote(first)
    second = registry.train()
    assert registry.promote(second).previous == first
    assert registry.aliases == {"challenger": second, "champion": second, "previous": first}
    assert registry.rollback().champion == first
    assert registry.aliases == {"challenger": second, "champion": first, "previous": first}
    found = registry.compare()
    assert found is not None
    assert "| rolled_back |  | yes |  |" in found.text()  # whoever is asked again sees it


def test_a_second_rollback_has_nowhere_to_go(registry: Registry) -> None:
    with pytest.raises(LiberError, match="no former champion to go back to: nothing serves"):
        registry.rollback()
    registry.promote(registry.train())
    registry.promote(registry.train())
    registry.rollback()
    with pytest.raises(LiberError, match="no former champion to go back to: version 1 stays"):
        registry.rollback()


def test_promoting_again_changes_nothing(registry: Registry) -> None:
    registry.promote(registry.train())
    second = registry.train()
    registry.promote(second)
    before = registry.aliases
    assert registry.promote(second, instead_of="1") == promotion.Moved(
        registry.settings.model_name, second, "1", changed=False
    )
    assert registry.aliases == before
    assert registry.compare() is None


def test_a_promotion_stopped_half_way_is_finished_by_the_next(registry: Registry) -> None:
    registry.promote(registry.train())
    second = registry.train()
    registry.client.set_registered_model_alias(registry.settings.model_name, "previous", "1")  # and then it died
    registry.promote(second, instead_of="1")
    assert registry.aliases == {"challenger": second, "champion": second, "previous": "1"}


def test_a_yes_counts_only_against_the_champion_it_was_given_for(registry: Registry) -> None:
    registry.promote(registry.train())
    second, third = registry.train(), registry.train()
    registry.promote(third)
    with pytest.raises(LiberError, match="is version 3 now, not 1, with which version 2 was compared"):
        registry.promote(second, instead_of="1")
    assert registry.aliases["champion"] == third


def test_what_is_not_there_is_named(registry: Registry) -> None:
    with pytest.raises(LiberError, match=r"no model .*@challenger yet: run `liber train`"):
        registry.compare()
    with pytest.raises(InputError, match="no version 7 of the model"):
        registry.compare("7")
    with pytest.raises(InputError, match="no version 7 of the model"):
        registry.promote("7")


@pytest.fixture
def command(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The commands over this registry."""
    monkeypatch.setattr(cli_model, "settings", lambda: registry.settings)
    app = typer.Typer()
    app.command()(cli_model.promote)
    app.command()(cli_model.rollback)

    def run(*words: str, answer: str | None = None) -> Any:
        return CliRunner().invoke(app, list(words), input=answer)

    return run


def test_the_command_shows_the_comparison_and_asks(registry: Registry, command: Callable[..., Any]) -> None:
    version = registry.train(test_auc_mean="0.7601")
    refused = command("promote", answer="n\n")
    assert "test_auc_mean" in refused.stderr
    assert "Promote" in refused.stderr
    assert "Nothing was changed." in refused.stdout
    assert "champion" not in registry.aliases
    agreed = command("promote", "--json", answer="y\n")
    assert json.loads(agreed.stdout.splitlines()[-1])["champion"] == version
    assert registry.aliases["champion"] == version
    assert "It is the champion already" in command("promote").stdout


def test_without_a_terminal_it_needs_a_yes(registry: Registry, command: Callable[..., Any]) -> None:
    registry.train()
    silent = command("promote", answer="")
    assert isinstance(silent.exception, InputError)
    assert "Give --yes" in str(silent.exception)
    assert json.loads(command("promote", "--yes", "--version", "1", "--json").stdout)["changed"]
    registry.train()
    command("promote", "--yes")
    assert json.loads(command("rollback", "--json").stdout)["champion"] == "1"
