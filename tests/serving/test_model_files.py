"""What the files of a registered model hold of users: those that erasure looks into, and no other; none is a pickle."""

import io
import zipfile
from pathlib import Path

from tests.privacy.test_pickle import has_pickle
from tests.serving.world import World, bundled, fitted

USER = "u1"
ALL_OPTIONS = ("pooled", "profile", "affinity")


def holds(data: bytes, forms: tuple[bytes, ...]) -> bool:
    """Whether a file, or a member of an archive, has one of these."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        archive = zipfile.ZipFile(io.BytesIO(data))
        return any(holds(archive.read(member), forms) for member in archive.namelist())
    return any(form in data for form in forms)


def test_a_models_files_name_users_where_erasure_looks_and_hold_no_pickle(world: World, tmp_path: Path) -> None:
    folder = bundled(world, tmp_path, fitted(world.dataset, *ALL_OPTIONS), world.dataset).folder
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert {"model.safetensors", "vocabulary.json", "users.json", "bundle.npz", "config.json"} <= set(files)
    forms = (f'"{USER}"'.encode(), USER.encode("utf-32-le"))  # as JSON has it, and as numpy does
    assert {name for name, data in files.items() if holds(data, forms)} == {"vocabulary.json", "users.json"}
    assert [name for name, data in files.items() if has_pickle(data)] == []
