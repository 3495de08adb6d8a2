"""No artifact runs code when it is read: formats without pickle, and a search of the code for what would read one."""

import ast
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from liber_tasks.config import ROOT
from liber_tasks.encoder.pca import Projection
from liber_tasks.features.lexical import Lexical
from liber_tasks.training.checkpoint import File

PICKLERS = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "skops"}
# A study hands its samples to its own child processes in a folder that only they can read, and removes it.
BETWEEN_PROCESSES = {"liber_tasks/evaluation/engine.py", "liber_tasks/evaluation/worker.py"}
ONLY_ITS_ERROR = {"liber_tasks/training/checkpoint.py"}


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, object]]]:
    """Every call with a dotted name, and its keywords that are constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield (
                ast.unparse(node.func),
                {
                    word.arg: word.value.value
                    for word in node.keywords
                    if word.arg and isinstance(word.value, ast.Constant)
                },
            )


def sources() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("liber_tasks", "dags", "infra"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))


def test_nothing_imports_what_unpickles() -> None:
    importing = set()
    for name, tree in sources():
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [])  # fmt: skip
            if PICKLERS & {module.split(".")[0] for module in modules}:
                importing.add(name)
    assert importing == BETWEEN_PROCESSES | ONLY_ITS_ERROR


def test_what_could_unpickle_is_told_not_to() -> None:
    for name, tree in sources():
        for called, keywords in calls(tree):
            if called == "torch.load":
                assert keywords.get("weights_only") is True, name
            if called == "np.load":
                assert keywords.get("allow_pickle") is False, name
            if called == "yaml.load":
                assert "class Loader(yaml.SafeLoader)" in (ROOT / name).read_text(), name
            assert called not in ("eval", "exec", "yaml.unsafe_load", "pd.read_pickle"), name


def has_pickle(data: bytes) -> bool:
    """Whether a file, or a member of a zip archive, is a pickle of protocol 2 or later, or an array of objects."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        archive = zipfile.ZipFile(io.BytesIO(data))
        return any(has_pickle(archive.read(member)) for member in archive.namelist())
    return (data[:1] == b"\x80" and 2 <= data[1] <= 5) or (data[:6] == b"\x93NUMPY" and b"|O" in data[:128])


def test_the_search_would_find_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    assert has_pickle((tmp_path / "objects.npz").read_bytes())
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    assert has_pickle((tmp_path / "a.pt").read_bytes())


def test_encoders_hold_numbers_and_text_alone() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    lexical = Lexical.fit([f"film {n} of a director" for n in range(12)], 2)
    for stored in (Projection.fit(vectors, 2).to_bytes(), lexical.to_bytes()):
        assert not has_pickle(stored)


class Hostile:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("write", ["state", "raw"])
def test_a_checkpoint_made_to_run_code_is_no_checkpoint(tmp_path: Path, write: str) -> None:
    file, left = File(tmp_path / "c.pt"), tmp_path / "left"
    state = {"epoch": Hostile(left)}
    if write == "state":
        torch.save(state, file.path)
    else:
        torch.save(Hostile(left), file.path, _use_new_zipfile_serialization=False)
    assert file.read() is None
    assert not left.exists()
