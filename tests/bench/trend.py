"""Whether a series grows: the Theil-Sen slope with its interval, and its last third over its first."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from scipy.stats import theilslopes


def trend(hours: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    """How a gauge moved.

    Args:
        hours: (n,) when each value was read, ascending; n >= 6.
        values: (n,) in any unit.

    Returns:
        `median`; `share_per_hour`, the median of the slopes of all pairs (Theil 1950, Sen 1968) over the median, with
        its 95 % interval `share_low` to `share_high`; `last_over_first`, medians of the last and the first third.
        Shares are null where the median is 0.
    """
    middle = median(values)
    slope, _, low, high = theilslopes(values, hours, 0.95)
    third = len(values) // 3
    first, last = median(values[:third]), median(values[-third:])
    shares = {"share_per_hour": slope, "share_low": low, "share_high": high}
    return {
        "median": round(middle, 4),
        **{name: round(float(value) / middle, 3) if middle else None for name, value in shares.items()},
        "last_over_first": round(last / first, 3) if first else None,
    }
