"""What of our own code a trained cell depends on: a changed model is not taken for the old one."""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from liber_tasks.backbones.by_name import backbone_of

_START = (
    "liber_tasks.fusion.combine",
    "liber_tasks.fusion.model",
    "liber_tasks.training.dataset",  # gathers batches; what it gathers from shows in the samples' digest
    "liber_tasks.training.fit",
)
_FOLLOWED = ("liber_tasks.backbones.", "liber_tasks.fusion.")
_SKIPPED = ("liber_tasks.backbones.by_name",)  # imports every backbone


@cache
def code_digest(backbone: str) -> str:
    """sha256 of the modules that make and train a backbone's models, comments and docstrings left out."""
    own = backbone_of(backbone).__module__
    followed = (*_FOLLOWED, f"{own.partition('.')[0]}.") if not own.startswith(_FOLLOWED) else _FOLLOWED
    waiting, found = [own, *_START], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in found or name in _SKIPPED:
            continue
        tree = ast.parse(_source(name))
        waiting += [imported for imported in _imports(tree) if imported.startswith(followed)]
        found[name] = ast.dump(_bare(tree))
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module} has no source file")
    return Path(spec.origin).read_text(encoding="utf-8")


def _imports(tree: ast.AST) -> list[str]:
    """Modules that a file of ours imports names from; it imports whole modules of ours nowhere."""
    return [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree
