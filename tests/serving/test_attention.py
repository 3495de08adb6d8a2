"""What the dashboard says the champion attends to is what the champion computes."""

import secrets
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from liber_tasks.dashboard import attention
from liber_tasks.errors import LiberError
from liber_tasks.fusion.options import MEAN, POOLED
from liber_tasks.training import registry
from tests.serving.world import World, fitted


@pytest.mark.parametrize("option", [POOLED, MEAN])
def test_the_shares_make_the_fused_vector(world: World, mlflow_url: str, tmp_path: Path, option: str) -> None:
    model = fitted(world.dataset, option)
    saved = registry.save(tmp_path / "model", model, world.dataset)
    settings = world.settings.model_copy(
        update={"mlflow_tracking_uri": mlflow_url, "model_name": f"attention_{secrets.token_hex(4)}"}
    )
    client = MlflowClient(mlflow_url, mlflow_url)
    with pytest.raises(LiberError, match="yet: run"):
        attention.newest(settings)
    client.create_registered_model(settings.model_name)
    run = client.create_run("0").info
    client.log_artifacts(run.run_id, str(saved), "registered/artifacts/model")
    version = client.create_model_version(settings.model_name, f"{run.artifact_uri}/registered", run.run_id).version
    client.set_registered_model_alias(settings.model_name, registry.CHAMPION, version)
    found = attention.newest(settings)
    assert found == str(version)
    if option == MEAN:
        with pytest.raises(LiberError, match="all of them weigh the same"):
            attention.load(settings, found)
        return
    champion = attention.load(settings, found)
    assert champion.encoder_version == world.dataset.version.encoder_version
    vectors = np.random.default_rng(0).normal(size=(champion.max_partitions + 2, model.config.vector_size))
    vectors = vectors.astype(np.float32)
    shares = champion.shares(vectors)
    assert shares[:2].tolist() == [0, 0]  # too old to be read
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    read = torch.from_numpy(vectors[2:])
    rows = torch.arange(len(read))[None]
    with torch.inference_mode():
        fused = model.model.fused(read, rows, torch.ones_like(rows, dtype=torch.bool))[0]
        value = model.model.fusion.value(read * champion.scale)
    torch.testing.assert_close(torch.from_numpy(shares[2:]) @ value, fused, rtol=1e-4, atol=1e-5)
