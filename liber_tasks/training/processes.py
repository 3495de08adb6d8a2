"""Training in several processes (torchrun): each takes its share of every batch, gradients are averaged."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from liber_tasks.errors import LiberError

T = TypeVar("T")


@contextmanager
def group() -> Iterator[None]:
    """Join the processes that torchrun started; one process alone joins nothing."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        yield
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def world() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def first() -> bool:
    """Whether this process is the one that reports and writes."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def share(samples: int) -> slice:
    """This process's part of a batch of `samples`."""
    rank, size = (distributed.get_rank(), world()) if distributed.is_initialized() else (0, 1)
    if size == 1:
        return slice(None)
    return slice(samples * rank // size, samples * (rank + 1) // size)


def wrapped(model: nn.Module) -> nn.Module:
    """The model as training calls it: gradients become the mean over processes."""
    # a share of a batch may hold no partition at all, and then some weights see nothing
    return DistributedDataParallel(model, find_unused_parameters=True) if world() > 1 else model


def mean(value: float) -> float:
    """Mean of a number over processes."""
    if world() == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=_device())
    distributed.all_reduce(tensor)
    return float(tensor) / world()


def shared(value: Callable[[], T]) -> T:
    """What `value()` gives the first process, in all of them; the others do not call it."""
    if world() == 1:
        return value()
    found: list[Any] = [value() if first() else None]
    distributed.broadcast_object_list(found, src=0, device=_device())
    return cast(T, found[0])


def same(what: str, value: str) -> None:
    """Make sure that all processes hold the same.

    Raises:
        LiberError: they differ, as when the database changes between their looks at it.
    """
    if world() == 1:
        return
    found: list[Any] = [None] * world()
    distributed.all_gather_object(found, value)
    if len(set(cast(list[str], found))) > 1:
        raise LiberError(f"The {world()} training processes do not see the same {what}: start them again.")


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
