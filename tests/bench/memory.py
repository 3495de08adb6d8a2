"""What comparing with the memory costs: training an epoch, and inference, over the same backbone without it.

MovieLens-100K with made-up vectors of items: they take as long as real ones. CPU time of one thread, models in turns
within one process. Training is `training.fit`, one epoch, validation included; features are columns then, computed once
when samples are read (`columns_seconds`, of all samples together). Inference is the model alone on 1,000 test rows.
"""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liber_tasks.config import Settings
from liber_tasks.evaluation.speed import _in_turns, _samples
from liber_tasks.fusion.model import build
from liber_tasks.fusion.options import BASIC, GENRE, POOLED, PROFILE, TARGET_ATTENTION, check_options
from liber_tasks.training.fit import fit
from liber_tasks.training.load import load
from liber_tasks.training.options import Options
from tests.bench.database import cluster, database, say
from tests.bench.serving import _fill

BAR = 1.1
BACKBONES = ("dcnv2", "din", "dien")
ARMS = {"genre": (GENRE,), "profile": (PROFILE,), "pooled": (POOLED,), "target_attention": (TARGET_ATTENTION,)}
OPTIONS = Options(max_epochs=1, patience=1)


def measure(size: int = 3) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` rounds of training, ten times as many of inference."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine = database(server)
        settings = Settings(_env_file=None, database_url=engine.url.render_as_string(hide_password=False))  # type: ignore[call-arg]
        _fill(engine, settings, Path(folder))
        started = time.process_time()
        load(engine, settings, BASIC)
        between = time.process_time()
        dataset = load(engine, settings, check_options({*BASIC, *(name for arm in ARMS.values() for name in arm)}))
        columns = (time.process_time() - between) - (between - started)
    rows = _samples(dataset)
    ratios: dict[str, Any] = {}
    say(f"memory: columns in {columns:.1f} s")
    figures: dict[str, Any] = {
        "bar": BAR,
        "load_1m": round(os.getloadavg()[0], 2),
        "columns_seconds": round(columns, 1),
    }
    for backbone in BACKBONES:

        def trained(options: tuple[str, ...], backbone: str = backbone) -> object:
            return fit(dataset, dataset.config(backbone, options, OPTIONS), OPTIONS, 0)

        def inferred(options: tuple[str, ...], backbone: str = backbone) -> Callable[[], object]:
            config = dataset.config(backbone, options, OPTIONS)
            return partial(build(config, dataset.vocabulary).eval(), dataset.batch(rows, config))

        for name, arm in ARMS.items():
            options = check_options({*BASIC, *arm})
            training = _in_turns(partial(trained, BASIC), partial(trained, options), size)
            with torch.inference_mode():
                inference = _in_turns(inferred(BASIC), inferred(options), 10 * size)
            for what, times in (("training", training), ("inference", inference)):
                ratio = f"{what}_{name}_over_base_{backbone}"
                ratios[ratio] = round(float(np.median(times[:, 1] / times[:, 0])), 3)
                say(f"memory: {ratio}: {ratios[ratio]}")
    return ratios, figures
