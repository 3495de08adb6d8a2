"""All cells of a study: what MLflow holds is read, the rest is trained, one after another or in processes."""

import multiprocessing
import pickle
import tempfile
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

from liber_tasks.errors import LiberError
from liber_tasks.evaluation import cells, worker
from liber_tasks.evaluation.cells import Cell, Outcome
from liber_tasks.evaluation.store import Store
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import auc, log_loss
from liber_tasks.training.parts import TEST, VALIDATION
from liber_tasks.types import Progress, silent


def outcomes(
    store: Store,
    wanted: Sequence[Cell],
    datasets: Mapping[str, Dataset],
    *,
    processes: int = 1,
    progress: Progress = silent,
) -> dict[str, Outcome]:
    """What came of each cell, by fingerprint. Each is kept as soon as it is finished.

    Args:
        store: of finished cells.
        wanted: cells; one that several arms share is trained once.
        datasets: by key.
        processes: cells trained at once, each with one torch thread.
        progress: counts cells.

    Raises:
        LiberError: a process was killed; what had been finished is kept.
    """
    found, missing = dict[str, Outcome](), dict[str, Cell]()
    different = {cell.fingerprint: cell for cell in wanted}
    for cell in different.values():
        dataset = datasets[cell.dataset]
        kept = store.find(cell, len(dataset.rows(TEST)), len(dataset.rows(VALIDATION)))
        if kept is None:
            missing[cell.fingerprint] = cell
        else:
            found[cell.fingerprint] = kept
    there = f", {len(found)} of them from earlier" if found else ""
    progress(len(found), len(different), f"models{there}")
    train = _in_processes if processes > 1 and len(missing) > 1 else _here
    with closing(train(list(missing.values()), datasets, processes)) as trained:  # closing stops processes
        for cell, outcome in trained:
            dataset = datasets[cell.dataset]
            truth = dataset.label[dataset.rows(TEST)].numpy()
            scores = {"auc": auc(truth, outcome.test) or 0.0, "log_loss": log_loss(truth, outcome.test)}
            store.keep(cell, outcome, scores, versions(dataset))
            found[cell.fingerprint] = outcome
            progress(len(found), len(different), f"models{there} (the last: {cell.label})")
    return found


def versions(dataset: Dataset) -> dict[str, str]:
    """What a run was made from, as tags."""
    tags = {"liber.dataset_digest": dataset.digest, "liber.cut": dataset.cut.isoformat()}
    if dataset.version is not None:
        tags |= {
            "liber.encoder_version": dataset.version.encoder_version,
            "liber.knowledge_version": dataset.version.knowledge_version,
            "liber.llm_model": dataset.version.model,
        }
    return tags


Trained = Generator[tuple[Cell, Outcome], None, None]


def _here(missing: Sequence[Cell], datasets: Mapping[str, Dataset], _: int) -> Trained:
    for cell in missing:
        yield cell, cells.train(cell, datasets[cell.dataset])


def _in_processes(missing: Sequence[Cell], datasets: Mapping[str, Dataset], processes: int) -> Trained:
    """Fresh processes: forked ones would share locks and connections with this one."""
    others = {child.pid for child in multiprocessing.active_children()}
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: Path(folder) / f"{number}.pickle" for number, key in enumerate(datasets)}
        for key, path in paths.items():
            path.write_bytes(pickle.dumps(datasets[key]))
        pool = ProcessPoolExecutor(
            min(processes, len(missing)), multiprocessing.get_context("spawn"), initializer=worker.as_a_child
        )
        try:
            running = {pool.submit(worker.train, cell, paths[cell.dataset]): cell for cell in missing}
            for future in as_completed(running):
                yield running[future], future.result()
        except BrokenProcessPool as error:
            raise LiberError(
                "A process that trained was killed, perhaps for want of memory: what was finished is kept, "
                "run the command again with fewer --processes."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                if child.pid not in others:
                    child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
