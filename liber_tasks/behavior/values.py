"""Cell values: text columns to times and numbers, a whole column at once; JSON that PostgreSQL can store."""

import json
import re
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TIME = pa.timestamp("us", tz="UTC")
MAX_EPOCH = 253_402_300_799.0  # the end of the year 9999, seconds
MAX_JSON_BYTES = 65_536

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_CLOCK = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"
_ZONED = rf"^{_CLOCK}(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)$"
_NAIVE = rf"^({_CLOCK}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})$"

# What PostgreSQL's jsonb may refuse although it is JSON: NUL, lone surrogates, numbers with huge exponents.
_RISKY = re.compile(r"\\u|[0-9][eE][+-]?[0-9]{3}")
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")


class Times(NamedTuple):
    """Parsed times."""

    values: pa.Array  # timestamp[us, UTC]; null where it is no time with a zone
    naive: np.ndarray  # bool: a time, but without a zone


def parse_times(texts: pa.Array) -> Times:
    """Read ISO 8601 times with a zone, or epoch seconds (whole or decimal, microseconds kept).

    Args:
        texts: string array (n,); null gives null.

    Returns:
        Values and the mask of naive times, both (n,). Epochs outside the years 1970 to 9999 are clipped just
        beyond that range, so that a check for absurd times finds them.
    """
    texts = pc.ascii_upper(pc.ascii_trim_whitespace(texts))
    zoned = _mask(pc.match_substring_regex(texts, _ZONED))
    number = naive = np.zeros(len(texts), dtype=bool)
    if not zoned.all():  # nearly every file keeps to one spelling: two of three searches are saved
        number = _mask(pc.match_substring_regex(texts, _NUMBER))
        naive = _mask(pc.match_substring_regex(texts, _NAIVE)) if not number.all() else naive

    micros = np.zeros(len(texts), dtype=np.int64)
    known = number | zoned
    if number.any():
        epochs = texts.filter(pa.array(number)).cast(pa.float64()).to_numpy(zero_copy_only=False)
        micros[number] = np.rint(np.clip(epochs, -1.0, MAX_EPOCH) * 1e6).astype(np.int64)
    if zoned.any():
        iso = pc.replace_substring_regex(texts.filter(pa.array(zoned)), r"(\.[0-9]{6})[0-9]+", r"\1")
        parsed = _cast_times(iso).cast(pa.int64())
        micros[zoned] = pc.fill_null(parsed, 0).to_numpy(zero_copy_only=False)
        known[zoned] = parsed.is_valid().to_numpy(zero_copy_only=False)
    return Times(pa.array(micros, mask=~known).cast(TIME), naive)


def _cast_times(iso: pa.Array) -> pa.Array:
    """Cast well-formed ISO texts; a day that no calendar has (30 February) becomes null."""
    try:
        return iso.cast(TIME)
    except pa.ArrowInvalid:
        return pa.array([_one_time(text) for text in iso.to_pylist()], TIME)


def _one_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def parse_numbers(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Read finite numbers that fit 32-bit floats.

    Args:
        texts: string array (n,); null gives null.

    Returns:
        float32 array (n,), null where there is no such number, and the mask (n,) of texts that are not numbers.
    """
    texts = pc.ascii_trim_whitespace(texts)
    wellformed = pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, pa.scalar(None, pa.string()))
    values = pc.fill_null(wellformed.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    usable = np.abs(values) <= np.finfo(np.float32).max
    numbers = np.where(usable, values, 0).astype(np.float32)
    return pa.array(numbers, mask=~usable), ~usable & _mask(texts.is_valid())


def json_object(text: str) -> str | None:
    """The JSON object in `text`, in a form that PostgreSQL's jsonb can store; None if there is none.

    Args:
        text: any text; more than 64 KiB of UTF-8 is too much.
    """
    if len(text) > MAX_JSON_BYTES or not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text, parse_constant=_refuse)
        if _RISKY.search(text):
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return None if _NUL.search(text) or len(text.encode()) > MAX_JSON_BYTES else text
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _mask(array: pa.Array) -> np.ndarray:
    return pc.fill_null(array, False).to_numpy(zero_copy_only=False)
