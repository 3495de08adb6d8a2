"""Domain packs as files: finding one, reading it, and saying what is wrong with it. `LIBER_DOMAIN` names it."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from liber_tasks.errors import InputError

FOLDER = Path(__file__).parent / "interest" / "domains"
_ADVICE = {"missing": "the key is missing, add it", "extra_forbidden": "there is no such key, remove or rename it"}

_Model = TypeVar("_Model", bound=BaseModel)


def _line(text: str) -> str:
    if "\0" in text or len(text.splitlines()) > 1:
        raise ValueError("write it on one line, without control characters")
    return text


Line = Annotated[str, AfterValidator(_line)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def read(name: str) -> tuple[dict[str, Any], str]:
    """The pack of that name, or in the file of that path, as its parsed text and name, and what errors call it.

    Raises:
        InputError: there is no such pack, or it is not TOML; names the file.
    """
    packs = {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}
    by_path = name.endswith(".toml") or "/" in name
    file = Path(name) if by_path else packs.get(name)
    if file is None:
        known = ", ".join(packs)
        raise InputError(f"LIBER_DOMAIN is {name!r}: choose one of {known}, or give the path of a pack of your own.")
    with suppress(RuntimeError):  # the home of nobody: a path where nothing is
        file = file.expanduser()
    what = f"The domain pack {file} (LIBER_DOMAIN)"
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"LIBER_DOMAIN is {name!r}: there is no file {file}, correct the path.") from None
    except OSError as error:
        raise InputError(f"LIBER_DOMAIN is {name!r}, which cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{what} is not TOML in UTF-8, correct it: {error}.") from None
    if "name" in found:
        raise InputError(f"{what} is wrong at name: a pack is named by its file, remove the key.")
    return {**found, "name": file.stem}, what


def checked(model: type[_Model], values: Mapping[str, Any], what: str) -> _Model:
    """A pack's values as a model.

    Raises:
        InputError: a key is missing, unknown or of the wrong type; names it, after `what`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = _ADVICE.get(first["type"]) or first["msg"].removeprefix("Value error, ").lower()
        raise InputError(f"{what} is wrong{f' at {key}' if key else ''}: {said}.") from None
