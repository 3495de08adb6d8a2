"""What LIBER costs at inference: CPU time of 1,000 samples with the paper's fusion over that of the bare backbone.

MovieLens-100K with made-up vectors and untrained weights: they take as long as real ones. Both models are timed in
turns within one process, on one thread (`liber_tasks.evaluation.speed`, as `liber evaluate table7`); the samples are
test rows, each with a partition vector where there are enough. `ratios` are those of the model alone, on gathered
batches, with each distinct memory fused in the call, or all of them fused before it, as a service keeps them; with the
gathering of the batch from memory, and in ranking requests, they are in `figures`.

Run it with MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000: otherwise glibc may give memory back to
the kernel after each batch and fault it in again with the next, or not, as a process happens to lay out its heap. That
makes a DIN up to three times slower, and a ratio anything.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from liber_tasks.backbones.by_name import BACKBONES
from liber_tasks.config import Settings
from liber_tasks.evaluation import speed
from liber_tasks.fusion.options import BASIC
from liber_tasks.training.load import load
from liber_tasks.training.options import options_for
from tests.bench.database import cluster, database, say
from tests.bench.serving import _fill

BAR = 1.05


def measure(size: int = 41) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` rounds; every backbone."""
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine = database(server)
        settings = Settings(_env_file=None, database_url=engine.url.render_as_string(hide_password=False))  # type: ignore[call-arg]
        _fill(engine, settings, Path(folder))
        dataset = load(engine, settings, BASIC)
    found = speed.measure(
        dataset, sorted(BACKBONES), options_for, rounds=size,
        progress=lambda done, of, what: say(f"inference: {done} of {of} {what}"),
    )  # fmt: skip
    memory = dataset.memory[speed._samples(dataset)]
    partitions = (memory[:, 1] - memory[:, 0]).float()
    figures: dict[str, Any] = {
        "rounds": size, "bar": BAR, "load_1m": round(os.getloadavg()[0], 2), "samples": len(memory),
        "distinct_memories": len(memory.unique(dim=0)), "partitions_mean": round(float(partitions.mean()), 2),
        "partitions_max": int(partitions.max()),
    }  # fmt: skip
    for each in found:
        name = f"{each.backbone} {each.what}"
        figures[name] = {
            "base_ms_per_1000": round(each.base_ms, 2),
            "liber_ms_per_1000": round(each.liber_ms, 2),
            "ratio": round(each.ratio, 3),
            "quartiles": [round(each.ratio_low, 3), round(each.ratio_high, 3)],
        }
    kinds = {"model": "liber_over_base", "model, fused before": "liber_fused_before_over_base"}
    ratios = {f"{kinds[each.what]}_{each.backbone}": round(each.ratio, 3) for each in found if each.what in kinds}
    return ratios, figures
