"""Plots of a report as SVG. Colours are Okabe and Ito's (2008), which most colour-blind people tell apart; every series
has a marker and a line of its own besides."""

import io
from collections import defaultdict
from collections.abc import Sequence

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from liber_tasks.evaluation.compare import Row
from liber_tasks.evaluation.report import Report
from liber_tasks.evaluation.speed import Speed

BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE)
MARKERS, LINES = "osD^vP", ("-", "--", "-.", ":", "-", "--")
GREY = "#555555"
DODGE = 1.03


def plot(report: Report) -> bytes | None:
    """The picture of a report; None: there is nothing to show."""
    if report.speeds:
        return _svg(_speeds(report.speeds))
    if report.study == "figure1":
        return _svg(_curve(report.rows))
    lifts = [row for row in report.rows if row.lift is not None]
    return _svg(_lifts(lifts)) if lifts else None


def _lifts(rows: Sequence[Row]) -> Figure:
    """A bar for each AUC difference, with its interval over users."""
    figure, axes = _axes(0.36 * len(rows) + 1.1)
    variants = list(dict.fromkeys(row.variant for row in rows))
    for place, row in enumerate(rows):
        colour = COLOURS[variants.index(row.variant) % len(COLOURS)]
        lift = row.lift or 0.0
        axes.barh(place, lift, height=0.6, color=colour, alpha=0.55)
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color="black", linewidth=1.4, marker="|", markersize=8)
        axes.plot(lift, place, marker=MARKERS[variants.index(row.variant) % len(MARKERS)], color="black", markersize=4)
    names = [f"{row.backbone}  {row.variant} - {row.against}" for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel("AUC difference, with its 95 % interval over users")
    return figure


def _curve(rows: Sequence[Row]) -> Figure:
    """AUC by length of the history; names are VARIANT_LENGTH."""
    figure, axes = _axes(4.0)
    series: dict[tuple[str, str], list[tuple[int, float, float]]] = defaultdict(list)
    for row in rows:
        if row.auc is not None:
            variant, _, length = row.variant.rpartition("_")
            series[row.backbone, variant].append((int(length), row.auc, row.auc_sd or 0.0))
    for number, ((backbone, variant), points) in enumerate(series.items()):
        lengths, aucs, sds = zip(*sorted(points), strict=True)
        beside = DODGE ** (number - (len(series) - 1) / 2)  # bars of one length beside each other
        axes.errorbar(
            [beside * length for length in lengths], aucs, yerr=sds, label=f"{backbone} {variant}", capsize=3,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)], linestyle=LINES[number % len(LINES)],
        )  # fmt: skip
    axes.set_xscale("log")
    ticks = sorted({length for points in series.values() for length, _, _ in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("behaviours that the backbone sees, at most")
    axes.set_ylabel("test AUC, mean \N{PLUS-MINUS SIGN} sd over seeds")
    axes.legend(frameon=False)
    return figure


def _speeds(speeds: Sequence[Speed]) -> Figure:
    """Ratio of each backbone's time with LIBER to its own."""
    figure, axes = _axes(0.36 * len(speeds) + 1.2)
    kinds = list(dict.fromkeys(each.what for each in speeds))
    for place, each in enumerate(speeds):
        number = kinds.index(each.what)
        axes.plot([each.ratio_low, each.ratio_high], [place, place], color="black", linewidth=1.4)
        axes.plot(each.ratio, place, marker=MARKERS[number], color=COLOURS[number], markersize=8)
    axes.set_yticks(range(len(speeds)), [f"{each.backbone}, {each.what}" for each in speeds])
    axes.set_ylim(len(speeds) - 0.5, -0.5)
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.set_xlabel("CPU time with LIBER / without, median and quartiles of rounds")
    return figure


def _axes(height: float) -> tuple[Figure, "matplotlib.axes.Axes"]:
    figure = Figure(figsize=(8.0, height), layout="constrained")  # no pyplot: no window, no state of the process
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure) -> bytes:
    """The same figure gives the same bytes; text stays text."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "liber", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()
