"""Write docs/reference/ from the code: commands, settings, Python. Usage: FOLDER."""

import re
import subprocess
import sys
from pathlib import Path

import griffe
from griffe2md import ConfigDict, render_object_docs

from liber_tasks.config import ROOT, Settings

# What programs elsewhere may call; the rest of the package may change without notice.
PUBLIC = (
    "errors", "types", "db",
    "behavior.ingest", "behavior.consume", "behavior.erase",
    "partition.rules", "partition.cuts", "partition.stream",
    "encoder.knowledge", "encoder.read", "encoder.nearest",
    "backbones.batch", "fusion.attention", "fusion.combine",
    "serving.inputs", "experiment.assign", "experiment.exposure", "experiment.readout",
)  # fmt: skip
GENERATED = "<!-- Written by `make docs`: change the code instead. -->\n\n"
_LINK = re.compile(r"\[([^\]]+)\]\(#[^)]+\)")  # to types that have no place on the page
STYLE = ConfigDict(
    docstring_section_style="table", summary=False, show_signature_annotations=True, annotations_path="brief",
    signature_crossrefs=False, filters=["!^_"], heading_level=2,
)  # fmt: skip


def commands() -> str:
    """Every command with its options, by typer."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "liber_tasks.cli", "utils", "docs", "--name", "liber", "--title", "Commands"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return GENERATED + done.stdout.strip() + "\n"


def settings() -> str:
    """A table of every setting: variable, default, meaning."""
    rows = ["# Settings", "", "From the environment, `.env`, or what the local stack wrote, strongest first.", "",
            "| variable | default | what |", "|---|---|---|"]  # fmt: skip
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"LIBER_{name.upper()}"
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{variable}` | {default} | {field.description or ''} |")
    return GENERATED + "\n".join(rows) + "\n"


def python() -> str:
    """Signatures and docstrings of the public modules, by griffe."""
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser=griffe.Parser.google)
    package = loader.load("liber_tasks", submodules=True)
    about = "What programs elsewhere may call. The rest of the package may change without notice."
    pages = [GENERATED.rstrip(), "# Python", about]
    for name in PUBLIC:
        module = package[name]
        _drop_attributes(module)
        pages.append(_LINK.sub(r"\1", render_object_docs(module, STYLE).strip()))
    return "\n\n".join(pages) + "\n"


def _drop_attributes(of: griffe.Object) -> None:
    """Constants and fields say little on their own: a class's are in its signature."""
    for name, member in list(of.members.items()):
        if member.is_alias or member.is_attribute:
            del of.members[name]
        elif member.is_class:
            _drop_attributes(member)


def main(folder: Path) -> None:
    """Write the three pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in (commands, settings, python):
        (folder / f"{page.__name__}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
