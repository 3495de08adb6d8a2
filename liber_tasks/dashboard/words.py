"""Numbers, times and names in plain words. Pure functions."""

import re
from datetime import date, datetime, timedelta

METRIC_NAMES = {"play_count": "Play count", "play_time": "Play time", "time_per_play": "Time per play"}
METHOD_NAMES = {"raw": "raw", "cuped": "CUPED", "capped": "capped", "capped_cuped": "capped CUPED"}
ARM_NAMES = {"control": "control", "treatment": "treated"}
AUTOLINKS = re.compile(r"(https?(?=:)|www(?=\.))|(@)", re.IGNORECASE)  # no escape keeps these from becoming links
EMBEDDED_MODELS = re.compile(r"^local$|smollm2?-?135m", re.IGNORECASE)
THIN = "\u202f"  # a space that does not break


def percent(value: float | None, digits: int = 1) -> str:
    """A relative change: `+3.1 %`; a dash where there is none."""
    return "–" if value is None else f"{100 * value:+.{digits}f}{THIN}%".replace("-", "−")


def share(value: float | None, digits: int = 1) -> str:
    """A share or a size without a sign: `3.1 %`."""
    return "–" if value is None else f"{100 * value:.{digits}f}{THIN}%".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """An interval of relative changes: `+1.2 to +5.0 %`."""
    return "–" if low is None or high is None else f"{percent(low).removesuffix('%').strip()} to {percent(high)}"


def lift(value: float | None, low: float | None, high: float | None) -> str:
    """A relative change with its interval: `+3.1 % (+1.2 to +5.0 %)`."""
    return "–" if value is None else f"{percent(value)} ({interval(low, high)})"


def p_value(value: float | None) -> str:
    """A p-value: three digits, or `< 0.001`."""
    return "–" if value is None else f"<{THIN}0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float | None) -> str:
    """A mean: about four significant digits, thousands separated."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def day(value: datetime | date) -> str:
    """A date as `5 Jan 2026`."""
    return f"{value.day} {value:%b %Y}"


def period(start: datetime, end: datetime) -> str:
    """Two dates, said once where they are the same."""
    return day(start) if start.date() == end.date() else f"{day(start)} – {day(end)}"


def age(value: timedelta) -> str:
    """How long ago: `just now`, `12 minutes ago`, `3 hours ago`, `5 days ago`."""
    minutes = int(value.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    size, unit = (minutes, "minute") if minutes < 120 else (minutes // 60, "hour")
    if unit == "hour" and size >= 48:
        size, unit = size // 24, "day"
    return f"{size} {unit}{'' if size == 1 else 's'} ago"


def span(value: timedelta) -> str:
    """How long: `40 seconds`, `12 minutes`, `3 hours`, `5 days`."""
    seconds = int(value.total_seconds())
    for size, unit in ((172_800, "day"), (7_200, "hour"), (120, "minute")):
        if seconds >= size:
            n = seconds // {"day": 86_400, "hour": 3_600, "minute": 60}[unit]
            return f"{n} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def work(seconds: float) -> str:
    """Time that was spent: `40.0 s`, `12.5 min`, `3.1 h`."""
    size, unit = (3600, "h") if seconds >= 3600 else (60, "min") if seconds >= 60 else (1, "s")
    return f"{seconds / size:,.1f}{THIN}{unit}"


def count(n: int, one: str, several: str | None = None) -> str:
    """`1 user`, `2,000 users`."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def metric(name: str) -> str:
    """A metric's name: `Play count`."""
    return METRIC_NAMES.get(name) or sentence(name.replace("_", " "))


def method(name: str) -> str:
    """A method's name: `capped CUPED`."""
    return METHOD_NAMES.get(name, name)


def plain(text: str) -> str:
    """Text that Markdown leaves as it is: what models, catalogues and users wrote must not become markup."""
    text = AUTOLINKS.sub(lambda found: f"{found[1] or ''}\u2060{found[2] or ''}", text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])", r"\\\1", text.replace("\n", " "))


def is_embedded(model: str) -> bool:
    """Is this the packaged small model, whose texts prove the wiring and not the value?"""
    return EMBEDDED_MODELS.search(model) is not None
