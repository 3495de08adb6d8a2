"""Training speed against FuxiCTR: samples per CPU-second of one thread, in turns, the same of MovieLens-100K.

Ours is `training.fit` as it is: the random order, batches gathered from columns, ids dropped, the backbone's further
losses, forward, backward, Adam; validation is left out. FuxiCTR's is its training step alone (forward, backward,
gradient clipping, Adam) on batches that lie ready: its data loaders cost more than the step of its fast models and
would flatter us. Both have history <= 50, embedding 32, MLP [200, 80], batch 1024, dropout .4.

FuxiCTR reads the same fields: user, age, gender, occupation, item, genres, lustrum, liked items and other items of the
history; DIN and DIEN its items with their genres (as one value, no responses: its models cannot have them). `ids_only`
is what it does with less: its history is item ids alone, though ours stays as it is.

FuxiCTR lives in an environment of its own, which reads torch and what else it needs from ours: the folder that
LIBER_BENCH_FUXICTR names, or var/fuxictr, made at the first run.
"""

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liber_tasks.backbones.by_name import BACKBONES
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings
from liber_tasks.features.responses import liked
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import fit
from liber_tasks.training.load import load
from liber_tasks.training.options import Options
from liber_tasks.training.parts import FIT, TEST, VALIDATION
from tests.bench.database import cluster, database, say, settle

ROOT = Path(__file__).parents[2]
PEER = "fuxictr==2.3.10"
BARS = {"din": 3.0, "dien": 2.0}  # of all others: 1
ROUNDS, HELD_OUT = 5, 256
SIDES = ("ours", "same", "ids_only")


def measure(size: int = 12) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` batches of 1024 a backbone and round."""
    torch.set_num_threads(1)
    options = Options(max_epochs=1, batch_size=1024)
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder:
        say("train: loading MovieLens-100K")
        dataset = _dataset()
        chosen = np.random.default_rng(0).permutation(dataset.rows(FIT).numpy())[: size * options.batch_size]
        np.savez(Path(folder) / "samples.npz", **_columns(dataset, chosen))  # type: ignore[arg-type]
        dataset = _only(dataset, chosen)
        with _peer(Path(folder) / "samples.npz") as peer:
            found = {name: _rates(dataset, name, options, peer) for name in BACKBONES}
    ratios, figures = {}, {"bars": {name: BARS.get(name, 1.0) for name in BACKBONES}, "rounds": ROUNDS, "peer": PEER}
    figures["samples"], figures["torch"] = len(chosen), torch.__version__
    for name, rates in found.items():
        ours, same, ids_only = (np.array(rates[side]) for side in SIDES)
        ratios[f"ours_over_fuxictr_{name}"] = round(float(np.median(ours / same)), 2)
        ratios[f"ours_over_fuxictr_ids_only_{name}"] = round(float(np.median(ours / ids_only)), 2)
        figures[name] = {side: round(statistics.median(values)) for side, values in rates.items()}
    return ratios, figures


def _rates(dataset: Dataset, backbone: str, options: Options, peer: subprocess.Popen[str]) -> dict[str, list[float]]:
    """Samples per CPU-second of each side and round; the first round warms up."""
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(ROUNDS + 1):
        for side in found if number % 2 else reversed(found):
            rate = _ours(dataset, backbone, options) if side == "ours" else _theirs(peer, backbone, side)
            if number:
                found[side].append(rate)
    say(f"train: {backbone}: " + ", ".join(f"{side} {statistics.median(rates):,.0f}" for side, rates in found.items()))
    return found


def _ours(dataset: Dataset, backbone: str, options: Options) -> float:
    """Samples per CPU-second of an epoch, from the end of its first batch to the end of its last."""
    seen: list[tuple[int, float]] = []
    config = dataset.config(backbone, (), options)
    fit(dataset, config, options, 0, progress=lambda done, total, what: seen.append((done, time.process_time())))
    (first, begun), (last, ended) = seen[0], seen[-1]
    return (last - first) / (ended - begun)


def _theirs(peer: subprocess.Popen[str], backbone: str, protocol: str) -> float:
    assert peer.stdin
    assert peer.stdout
    peer.stdin.write(f"{backbone} {protocol}\n")
    peer.stdin.flush()
    if not (line := peer.stdout.readline()):
        raise SystemExit(f"FuxiCTR's process ended in {backbone}; what it says is above.")
    answer = json.loads(line)
    return answer["samples"] / answer["seconds"]


def _dataset() -> Dataset:
    """MovieLens-100K, from a database as training reads it."""
    with cluster() as server:
        engine = database(server)
        settings = Settings(_env_file=None)  # type: ignore[call-arg]
        data = obtain(settings, ROOT / "var" / "data")
        for kind, path in (("items", data.items), ("users", data.users), ("behaviors", data.behaviors)):
            ingest(engine, settings, [str(path)], kind=kind)  # type: ignore[arg-type]
        settle(engine)
        return load(engine, settings)


def _only(dataset: Dataset, chosen: np.ndarray) -> Dataset:
    """Train on the samples `chosen`, validate on a few: an epoch ends with a validation."""
    part = torch.full_like(dataset.part, TEST)
    part[dataset.rows(VALIDATION)[:HELD_OUT]] = VALIDATION
    part[torch.from_numpy(chosen)] = FIT
    return replace(dataset, part=part)


def _columns(dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The samples `rows` in padded columns, 0 for padding and unknown, as FuxiCTR takes them."""
    item, (start, end) = dataset.item[rows].numpy(), dataset.history[rows].numpy().T
    place = start[:, None] + np.arange(dataset.max_history)
    real = place < end[:, None]
    place = np.where(real, place, 0)
    catalogue_row, positive = dataset.event_item.numpy()[place], liked(dataset.event_response.numpy()[place])
    # like LongCTR's own loader, index 0 is nothing but padding
    ids = np.arange(len(dataset.items)) + 1
    ids[0] = 0
    genres = dataset.genres.numpy() > 0
    genre_set = np.unique(genres, axis=0, return_inverse=True)[1].reshape(-1) + 1
    widest = int(genres.sum(axis=1).max())
    genre_lists = np.zeros((len(genres), widest), dtype=np.int64)
    for row, of_item in enumerate(genres):
        genre_lists[row, : of_item.sum()] = np.flatnonzero(of_item) + 1
    user = dataset.users[dataset.user[rows]].numpy()
    return {
        **{name: user[:, column] for column, name in enumerate(("user", "age", "gender", "occupation"))},
        "item": ids[item],
        "lustrum": dataset.items[item, 1].numpy(),
        "genres": genre_lists[item],
        "genre_set": genre_set[item],
        "history": ids[catalogue_row] * real,
        "history_genre_set": genre_set[catalogue_row] * real,
        "liked": ids[catalogue_row] * (real & positive),
        "others": ids[catalogue_row] * (real & ~positive),
        "label": dataset.label[rows].numpy(),
    }


@contextmanager
def _peer(samples: Path) -> Iterator[subprocess.Popen[str]]:
    """FuxiCTR's process, ready; gone afterwards."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    child = subprocess.Popen(
        [str(_environment()), str(Path(__file__).with_name("fuxictr_peer.py")), str(samples)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=samples.parent,
    )  # fmt: skip
    try:
        assert child.stdout
        if child.stdout.readline() != "ready\n":
            raise SystemExit("FuxiCTR did not start; delete its environment to have it made anew, see above.")
        yield child
    finally:
        child.kill()
        child.wait()


def _environment() -> Path:
    """Python of FuxiCTR's environment, made if it is not there."""
    folder = Path(os.environ.get("LIBER_BENCH_FUXICTR") or ROOT / "var" / "fuxictr")
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        say(f"train: installing {PEER} into {folder}; LIBER_BENCH_FUXICTR names another folder")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
        # the same torch for both, and not installed twice
        (own / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True, stdout=sys.stderr)
        (folder / "installed").touch()
    return python
