"""What a request costs a service: look-up, checks, model; from the database (cold, cached) and from the bundle.

MovieLens-100K with made-up vectors and untrained weights: a request takes as long as with real ones. Latencies are wall
time of `predict` as MLflow gives it, signature included, with one torch thread: on a machine that others use they say
less than the ratios, which are CPU time, taken in turns: of the network, where it fuses all users anew, and of whole
requests about users who are cached, over the base: the backbone with what every model reads (`BASIC`).
"""

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings, environment
from liber_tasks.fusion.model import build
from liber_tasks.fusion.options import (
    AFFINITY,
    BASIC,
    GENRE,
    POOLED,
    PROFILE,
    STATISTICS,
    TARGET_ATTENTION,
    check_options,
)
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.serving.catalogue import Catalogue, Versions
from liber_tasks.serving.gather import Pairs, gather
from liber_tasks.serving.pack import pack
from liber_tasks.serving.past import UserPast
from liber_tasks.serving.profiles import PartitionProfiles
from liber_tasks.serving.pyfunc import ClickModel
from liber_tasks.training import registry
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import Epoch, Fitted
from liber_tasks.training.load import load
from liber_tasks.training.options import Options
from tests.bench.database import cluster, database, run, say, settle
from tests.partition.streams import moment

SHAPES = {"1x1": (1, 1), "1x100": (1, 100), "1x1000": (1, 1000), "100x10": (100, 10)}  # users x candidates of each
MODELS = {"base": BASIC, "pooled": (*BASIC, POOLED), "profile": check_options((*BASIC, PROFILE)),
          "all": (POOLED, TARGET_ATTENTION, PROFILE, GENRE, AFFINITY, STATISTICS)}  # fmt: skip
COMPARED = tuple(name for name in MODELS if name != "base")
MODES = {"cold": "0", "cached": "3600"}  # seconds the present is kept
SAMPLES, ROUNDS = 1000, 61


def measure(size: int = 200) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` requests of each shape, mode and model; a tenth as many of 100 users."""
    figures: dict[str, Any] = {"requests": size, "load_1m": round(os.getloadavg()[0], 2)}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine = database(server)
        settings = Settings(_env_file=None, database_url=engine.url.render_as_string(hide_password=False))  # type: ignore[call-arg]
        _fill(engine, settings, Path(folder))
        dataset = load(engine, settings, MODELS["all"])
        models = {name: _fitted(dataset, *options) for name, options in MODELS.items()}
        ratios, cpu = _inference(models, dataset, engine, settings, Path(folder))
        figures |= cpu
        ratios |= _cached(models, dataset, settings, Path(folder), size)
        for name in COMPARED:
            saved = registry.save(Path(folder) / name, models[name], dataset)
            for mode, seconds in MODES.items():
                with environment(_service(settings, seconds)):
                    figures |= _latencies(f"{name}_{mode}", _loaded(saved, Path(folder) / f"{name}-{mode}"), size)
            pack(engine, saved, Catalogue.load(saved), models[name].config, Versions.load(saved))
            figures |= _latencies(f"{name}_bundle", _loaded(saved, Path(folder) / f"{name}-bundle"), size)
            figures[f"{name}_bundle_mb"] = round((saved / "bundle.npz").stat().st_size / 1e6, 1)
    return ratios, figures


def _fill(engine: Engine, settings: Settings, folder: Path) -> None:
    """MovieLens-100K in partitions of 20, each with a vector of its own."""
    data = obtain(settings, folder / "data")
    for kind, path in (("items", data.items), ("users", data.users), ("behaviors", data.behaviors)):
        ingest(engine, settings, [str(path)], kind=kind)  # type: ignore[arg-type]
    seal(engine, PartitionRule(20), moment(4_000_000_000))
    with engine.begin() as connection:
        run(
            connection,
            "INSERT INTO liber.encoder (encoder_version, model, pooling, dtype, dimension, pca_sha256, pca,"
            " fitted_texts, explained_variance) VALUES ('e', 'random', 'mean', 'float32', 64, 'x', '', 1, 1)",
            "INSERT INTO liber.knowledge_version (knowledge_version, model, summary_prompt, shift_prompt, parameters)"
            " VALUES ('k', 'none', 's', 's', '{}')",
            "INSERT INTO liber.interest_vector (user_key, partition_no, encoder_version, knowledge_version, vector)"
            " SELECT p.user_key, p.partition_no, 'e', 'k', (SELECT array_agg(sin(n + 7 * p.partition_no +"
            " 13 * p.user_key)) FROM generate_series(1, 64) AS n)::vector FROM liber.behavior_partition AS p",
            "INSERT INTO liber.item_encoder (encoder_version, kind, model, dimension, centre)"
            " SELECT kind || width, kind, 'random', width,"
            " (SELECT array_agg(0.0) FROM generate_series(1, width))::vector"
            " FROM (VALUES ('dense', 384), ('lexical', 256)) AS of (kind, width)",
            "INSERT INTO liber.item_vector (item_key, encoder_version, vector, text_sha256)"
            " SELECT i.item_key, e.encoder_version, (SELECT array_agg(sin(n * i.item_key))"
            " FROM generate_series(1, e.dimension) AS n)::vector, 'x' FROM liber.item AS i, liber.item_encoder AS e",
        )
    settle(engine)


def _fitted(dataset: Dataset, *options: str) -> Fitted:
    config = dataset.config("din", options, Options())
    return Fitted(build(config, dataset.vocabulary).eval(), config, 0, (Epoch(0.0, 0.0, None),), 1, 0.0)


def _service(settings: Settings, seconds: str) -> dict[str, str]:
    return {"LIBER_READER_DATABASE_URL": settings.require("database_url"), "LIBER_SERVING_CACHE_SECONDS": seconds}


def _loaded(saved: Path, folder: Path) -> mlflow.pyfunc.PyFuncModel:
    """The files as a consumer loads them."""
    with warnings.catch_warnings(action="ignore"):  # no example is needed here
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(registry.PACKAGE / "serving" / "pyfunc.py"),
            artifacts={"model": str(saved)},
            signature=registry.signature(),
            pip_requirements=["mlflow"],
        )
    return mlflow.pyfunc.load_model(str(folder))


def _latencies(name: str, model: mlflow.pyfunc.PyFuncModel, size: int) -> dict[str, Any]:
    """p50 and p99 of each shape in ms, and the shares of look-up and model in the median request."""
    own: ClickModel = model.unwrap_python_model()
    rng, users, items = np.random.default_rng(0), list(own.catalogue.vocabulary.users), list(own.catalogue.row_of)
    found = {}
    for shape, (n_users, n_items) in SHAPES.items():
        requests = [
            pd.DataFrame(
                {"user_id": np.repeat(rng.choice(users, n_users, replace=False), n_items),
                 "item_id": rng.choice(items, n_users * n_items)}
            )
            for _ in range(size if n_users == 1 else max(size // 10, 5))
        ]  # fmt: skip
        for request in requests if name.endswith("cached") else requests[:3]:
            model.predict(request)
        with _timed(own) as spent:
            whole = [_seconds(lambda request=request: model.predict(request)) for request in requests]
        total = sum(whole)
        found[f"{name}_{shape}"] = {
            "p50_ms": round(1000 * statistics.median(whole), 2),
            "p99_ms": round(1000 * float(np.quantile(whole, 0.99)), 2),
            "look_up_share": round(spent["users"] / total, 3),
            "model_share": round(spent["model"] / total, 3),
        }
        say(f"serving: {name} {shape}: {found[f'{name}_{shape}']}")
    return found


@contextmanager
def _timed(model: ClickModel) -> Iterator[dict[str, float]]:
    """Seconds spent in look-ups and in the network, fusing included, while inside."""
    spent = {"users": 0.0, "model": 0.0}
    source, network, fuse = model.source, model.model, model.fuse

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*given)
            finally:
                spent[part] += time.perf_counter() - started

        return run

    users, forward = source.users, network.forward
    source.users, network.forward = timed("users", users), timed("model", forward)  # type: ignore[method-assign]
    model.fuse = timed("model", fuse) if fuse else None  # type: ignore[assignment]
    try:
        yield spent
    finally:
        source.users, network.forward, model.fuse = users, forward, fuse  # type: ignore[method-assign]


def _cached(
    models: dict[str, Fitted], dataset: Dataset, settings: Settings, folder: Path, size: int
) -> dict[str, float]:
    """CPU time of requests about cached users, of each model over the base, median over requests."""
    ratios, rng, served = {}, np.random.default_rng(2), {}
    with environment(_service(settings, MODES["cached"])):
        for name in models:
            saved = registry.save(folder / f"cached-{name}", models[name], dataset)
            served[name] = _loaded(saved, folder / f"cached-{name}-model").unwrap_python_model()
        users, items = list(served["base"].catalogue.vocabulary.users), list(served["base"].catalogue.row_of)
        for shape, (n_users, n_items) in SHAPES.items():
            found = []
            for number in range(size if n_users == 1 else max(size // 10, 5)):
                some = np.repeat(rng.choice(users, n_users, replace=False), n_items)
                request = pd.DataFrame({"user_id": some, "item_id": rng.choice(items, n_users * n_items)})
                seconds = {}
                for name in models if number % 2 else reversed(models):
                    served[name].predict(None, request)
                    seconds[name] = _seconds(lambda n=name, r=request: served[n].predict(None, r), time.process_time)
                found.append([seconds[name] / seconds["base"] for name in COMPARED])
            for name, ratio in zip(COMPARED, np.median(found, axis=0), strict=True):
                ratios[f"{name}_over_base_din_{shape}_cached"] = round(float(ratio), 3)
    return ratios


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started


def _inference(
    models: dict[str, Fitted], dataset: Dataset, engine: Engine, settings: Settings, folder: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """CPU time of the network for 1,000 samples of as many users, with memory over without, in turns."""
    catalogue = Catalogue.load(registry.save(folder / "inference", models["all"], dataset))
    rng, items = np.random.default_rng(1), list(catalogue.row_of)
    with environment(_service(settings, "0")):
        from liber_tasks.serving.database import Database

        source = Database(catalogue, models["all"].config, Versions(*_versions(dataset)))
        users = [row[0] for row in engine.connect().exec_driver_sql("SELECT user_id FROM liber.user_profile")]
        pasts = source.users([(user, None) for user in users])
        source.close()
    row = catalogue.rows(rng.choice(items, SAMPLES).tolist())
    past = rng.integers(len(pasts), size=SAMPLES)
    pairs = _pairs(catalogue, pasts, row, past)
    batches = {
        name: gather(model.config, catalogue, pasts, pairs, PartitionProfiles(catalogue, model.config))
        for name, model in models.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, model in models.items():
                seconds[name].append(_seconds(lambda m=model, n=name: m.model(batches[n]), time.process_time))
    ratios = {
        f"{name}_over_base_din": statistics.median(np.array(seconds[name][1:]) / np.array(seconds["base"][1:]))
        for name in COMPARED
    }
    return ratios, {f"{name}_din_ms_per_1000": 1000 * statistics.median(found) for name, found in seconds.items()}


def _versions(dataset: Dataset) -> tuple[str | None, str | None]:
    version = dataset.version
    return (version.encoder_version, version.knowledge_version) if version else (None, None)


def _pairs(catalogue: Catalogue, pasts: Sequence[UserPast], row: np.ndarray, past: np.ndarray) -> Pairs:
    user = np.array([each.user for each in pasts], dtype=np.int64)[past]
    return Pairs(past, user, row, catalogue.items[row], catalogue.genres[row])
