"""Numbers as people read them."""

COUNTS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k"))
SIZES = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def count(value: float) -> str:
    """Three figures: 12.3k, 4.56M, 7.89B (a thousand millions); plain below ten thousand."""
    for unit, name in COUNTS:
        if value >= unit:
            return f"{_figures(value / (1e3 if name == 'k' else unit))}{name}"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else _figures(value)


def size(value: float) -> str:
    """Bytes in powers of 1000, three figures: 12.3 GB."""
    for unit, name in SIZES:
        if value >= unit:
            return f"{_figures(value / unit)} {name}"
    return f"{value:.0f} B"


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
