"""Random batches for model tests."""

import torch

from liber_tasks.backbones.batch import Batch, Sizes
from liber_tasks.backbones.vocabulary import Vocabulary
from liber_tasks.fusion.model import ModelConfig

USERS, ITEMS, GENRES, LUSTRA, VECTOR = 5, 7, 4, 3, 6
DENSE, TEXT, PROFILES = 2, 3, 2  # F, v, Q of Batch
ENTRIES = 9
MEMORIES, VECTORS = 4, 8  # M, V
SIZES = Sizes(user=(USERS + 1, 8, 3, 3), items=ITEMS + 1, lustra=LUSTRA + 1, genres=GENRES)


def vocabulary() -> Vocabulary:
    return Vocabulary(
        users={f"u{n}": n for n in range(1, USERS + 1)},
        items={f"i{n}": n for n in range(1, ITEMS + 1)},
        genders={"F": 1, "M": 2},
        occupations={"artist": 1, "student": 2},
        lustra={str(n): n for n in range(1, LUSTRA + 1)},
        genres={f"g{n}": n for n in range(GENRES)},
        catalogue={f"i{n}": (n % GENRES,) for n in range(1, ITEMS + 2)},
    )


def config(memory: str = "liber", backbone: str = "din") -> ModelConfig:
    """`memory`: "none", the bare backbone, or "liber", with the paper's fusion."""
    options = ("pooled",) if memory == "liber" else ()
    return ModelConfig(
        backbone=backbone,
        options=options,
        vector_size=VECTOR if options else 0,
        profile_size=0,
        dense=(),
        max_history=5,
        max_past=0,
        max_partitions=3,
        embedding_size=4,
        hidden=(8, 5),
    )


def random_batch(rows: int = 6, history: int = 5, partitions: int = 3, seed: int = 0) -> Batch:
    """Row 0 has no history and no partition; the last row has all of both. Negatives are there as in training.

    Rows share memories, the first of which holds no partition.
    """
    g = torch.Generator().manual_seed(seed)
    lengths = torch.linspace(0, history, rows).round().long()
    counts = torch.linspace(0, partitions, MEMORIES).round().long()
    mask = torch.arange(partitions).expand(MEMORIES, -1) >= partitions - counts.unsqueeze(1)
    genres = torch.rand(rows + ENTRIES, GENRES, generator=g).round()
    genres = genres / genres.sum(1, keepdim=True).clamp(min=1)
    return Batch(
        user=torch.stack([torch.randint(0, size, (rows,), generator=g) for size in SIZES.user], dim=1),
        item=torch.stack([torch.randint(0, size, (rows,), generator=g) for size in (ITEMS + 1, LUSTRA + 1)], dim=1),
        genres=genres[:rows],
        history=torch.randint(0, ENTRIES, (rows, history), generator=g),
        history_mask=torch.arange(history).expand(rows, -1) >= history - lengths.unsqueeze(1),
        entry_item=torch.randint(0, ITEMS + 1, (ENTRIES,), generator=g),
        entry_genres=genres[rows:],
        entry_response=torch.randint(0, 6, (ENTRIES,), generator=g),
        memory_of=torch.linspace(0, MEMORIES - 1, rows).round().long(),
        vectors=torch.randn(VECTORS, VECTOR, generator=g),
        memories=torch.randint(0, VECTORS, (MEMORIES, partitions), generator=g),
        memories_mask=mask,
        dense=torch.randn(rows, DENSE, generator=g),
        candidate=torch.randn(rows, TEXT, generator=g),
        profile=torch.randn(rows, PROFILES, 2, TEXT, generator=g),
        profile_mask=torch.rand(rows, PROFILES, 2, generator=g) < torch.linspace(0, 1, rows)[:, None, None],
        negatives=torch.randint(0, ENTRIES, (rows, history), generator=g),
    )


def select(batch: Batch, rows: list[int]) -> Batch:
    """Some rows of a batch."""
    return batch.part(torch.tensor(rows, dtype=torch.int64))
