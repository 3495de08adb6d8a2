"""What the capacity model (`liber plan`) says of a database against what it weighs: disk by table, WAL by stage, CPU.

Two databases, of a tenth of `size` users and of `size`, filled through the stages' own statements. Ratios are predicted
over measured: of the small one as the constants stand, and of the large one with constants fitted to the small one
alone, which is the test of the extrapolation. `figures` has the constants that fit, for `rows.MEASURED` and `costs`.
"""

import tempfile
from pathlib import Path
from typing import Any

from liber_tasks.capacity import costs, rows
from liber_tasks.capacity.activity import partitions
from liber_tasks.capacity.inputs import Inputs
from liber_tasks.capacity.storage import laid_out
from liber_tasks.config import Settings
from tests.bench.capacity_world import MEAN, SPREAD, K, World
from tests.bench.database import cluster, database, say

STAGES = {"behavior": ("behavior", "user_stream", "user_profile"), "behavior_partition": ("behavior_partition",),
          "interest": ("interest", "llm_call"), "interest_vector": ("interest_vector",), "item": ("item",),
          "item_knowledge": ("item_knowledge",), "item_vector": ("item_vector",),
          "interest_nearest": ("interest_nearest",)}  # fmt: skip
UNIT = {"behavior": "behaviors", "behavior_partition": "partitions", "interest": "texts",
        "interest_vector": "partitions", "interest_nearest": "partitions"}  # fmt: skip


def measure(size: int = 20_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` users and a tenth of them, 50 behaviours each on average."""
    figures: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        for users in (size // 10, size):
            say(f"capacity: {users:,} users")
            world = World(database(server), Settings(_env_file=None), users, Path(folder))  # type: ignore[call-arg]
            world.fill()
            found.append(_compared(world))
            figures[f"of_{users}"] = found[-1]
            say(f"capacity: {found[-1]}")
    small, large = found
    ratios: dict[str, Any] = {"partitions": large["partitions_predicted_over_measured"]}
    for what in ("disk", "wal"):
        for name, factor in small[f"{what}_factor"].items():
            ratios[f"{what}_{name}"] = round(factor / large[f"{what}_factor"][name], 3)
        ratios[f"{what}_together"] = round(_together(small, large, what), 3)
        ratios[f"{what}_as_the_constants_stand"] = round(_standing(large, what), 3)
    return ratios, figures


def _compared(world: World) -> dict[str, Any]:
    """Bytes and WAL measured and laid out, and CPU of a unit."""
    counts, sizes = world.counts(), world.sizes()
    given = Inputs(users=counts["users"], partition_k=K, spread=SPREAD)
    full = laid_out(given, behaviors=counts["behaviors"], sealed=counts["partitions"], learnt=counts["learnt"],
                    items=counts["items"], item_calls=counts["items"])  # fmt: skip
    per_user, share = partitions(MEAN, K, SPREAD)
    return {
        "counts": counts,
        "partitions_predicted_over_measured": round(per_user * world.users / counts["partitions"], 3),
        "learnt_predicted_over_measured": round(share * world.users / counts["learnt"], 3),
        "disk": {name: sizes[name] for name in full}, "wal": world.wal, "laid_out": full,
        "disk_factor": {name: round(sizes[name] / size, 3) for name, size in full.items()},
        "wal_factor": {stage: round(world.wal[stage] / _sum(full, tables), 3) for stage, tables in STAGES.items()},
        "cpu_us_a_row": {
            stage: round(1e6 * world.cpu[stage] / counts[UNIT.get(stage, "items")], 1) for stage in STAGES
        },
    }  # fmt: skip


def _together(small: dict[str, Any], large: dict[str, Any], what: str) -> float:
    """All bytes of the large one by the factors of the small one, over those measured."""
    tables = STAGES if what == "wal" else {name: (name,) for name in large["laid_out"]}
    predicted = sum(_sum(large["laid_out"], of) * small[f"{what}_factor"][name] for name, of in tables.items())
    return predicted / sum(large[what][name] for name in tables)


def _standing(found: dict[str, Any], what: str) -> float:
    """All bytes of a database by the constants in the code, over those measured."""
    if what == "disk":
        predicted = sum(size * rows.MEASURED[name] for name, size in found["laid_out"].items())
    else:
        predicted = sum(_sum(found["laid_out"], STAGES[stage]) * costs.WAL[stage] for stage in STAGES)
    return predicted / sum(found[what][name] for name in (found["laid_out"] if what == "disk" else STAGES))


def _sum(sizes: dict[str, float], names: tuple[str, ...]) -> float:
    return sum(sizes[name] for name in names)
