"""How often the drift model cuts MovieLens-100K, against the same behaviours in a random order.

Training behaviours only (strictly before the cut of the split by time), real MiniLM vectors. In a shuffled stream no
interest moves: what is cut there is chance. `behaviors_a_cut` is to be compared with K = 20.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.binary_copy import copy_columns
from liber_tasks.config import Settings
from liber_tasks.encoder.items import encode_items
from liber_tasks.partition.drift import THRESHOLD, WINDOW, request_drift_cuts, similarities
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.split import time_cut
from tests.bench.database import cost, database, median, say
from tests.partition.streams import moment

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
SHUFFLES = 5
_TRAINING = """
SELECT user_key, array_agg(item_key ORDER BY seq) AS items
FROM liber.behavior WHERE event_time < :cut GROUP BY user_key ORDER BY user_key
"""
_READ = "SELECT count(*) FROM liber.behavior WHERE user_key = ANY(:users)"


def measure() -> tuple[dict[str, Any], dict[str, Any]]:
    """Ratios and figures; about a minute, most of it MiniLM."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, database() as engine:
        data = obtain(settings, Path(folder))
        for kind, path in (("items", data.items), ("behaviors", data.behaviors)):
            ingest(engine, settings, [path], kind=kind)
        say("drift: encoding items")
        version = encode_items(engine, settings).encoder_version
        with engine.connect() as connection:
            cut = time_cut(engine, settings.train_share)
            users = connection.execute(text(_TRAINING), {"cut": cut}).all()
            found = copy_columns(
                connection,
                "partition/drift_vectors",
                {"item_key": ">i8", "vector": "vector384"},
                {"encoder_version": version, "items": sorted({item for row in users for item in row.items})},
            )
        say("drift: comparing windows")
        row_of = {int(key): row for row, key in enumerate(found["item_key"])}
        streams = [found["vector"][[row_of[item] for item in row.items]] for row in users]
        real = [_similarities(stream) for stream in streams]
        dice = np.random.default_rng(0)
        shuffled = [_similarities(dice.permutation(stream)) for _ in range(SHUFFLES) for stream in streams]

        keys = [row.user_key for row in users]

        def request(kept: Any) -> None:
            with kept.connect() as connection:  # rolled back
                request_drift_cuts(connection, keys)

        model = median([cost(engine, request) for _ in range(3)])
        with engine.connect() as connection:
            read = connection.execute(text(_READ), {"users": keys}).scalar_one()
        rule = PartitionRule(k=20, model="drift")
        report = seal(engine, rule, moment(int(cut.timestamp()) - 1) if cut else moment(0))

    behaviors = sum(map(len, streams))
    known = np.concatenate(real)
    known = known[~np.isnan(known)]
    figures: dict[str, Any] = {
        "window": WINDOW,
        "threshold": THRESHOLD,
        "users": len(users),
        "behaviors": behaviors,
        "similarity_quantiles": {str(q): round(float(np.quantile(known, q)), 3) for q in (0.01, 0.05, 0.25, 0.5, 0.75)},
        "share_below_threshold": round(float((known < THRESHOLD).mean()), 4),
        "behaviors_a_cut": {str(t): _rounded(behaviors, _crossings(real, t)) for t in THRESHOLDS},
        "behaviors_a_cut_shuffled": {
            str(t): _rounded(behaviors * SHUFFLES, _crossings(shuffled, t)) for t in THRESHOLDS
        },
        "partitions_at_k_20": report.reasons,
        "cpu_us_a_behavior": round(model / read * 1e6, 1),
    }
    ratios = {
        f"cuts_over_shuffled_{t}": round(_crossings(real, t) * SHUFFLES / max(_crossings(shuffled, t), 1), 2)
        for t in THRESHOLDS
    }
    return ratios, figures


def _similarities(stream: np.ndarray) -> np.ndarray:
    return similarities(stream, np.ones(len(stream), bool), WINDOW)


def _crossings(found: list[np.ndarray], threshold: float) -> int:
    return sum(int(((s[1:] < threshold) & (s[:-1] >= threshold)).sum()) for s in found)


def _rounded(behaviors: int, cuts: int) -> float | None:
    return round(behaviors / cuts, 1) if cuts else None
