"""What a study found, as it is printed, written and kept in MLflow."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from liber_tasks.evaluation.compare import Comparison, Row
from liber_tasks.evaluation.speed import Speed

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
NOTHING = "-"


@dataclass(frozen=True)
class Protocol:
    """How the figures were made.

    Attributes:
        text: in words.
        cut: ISO 8601: test rows are at or after it.
        rows_train: samples before the cut that fit.
        rows_validation: the latest of those before the cut.
        rows_test: samples at or after it, of `users`.
        rows_with_vector: test samples with a partition vector, of `users_with_vector`.
        seeds: paired.
        draws: of users, for an interval.
        digest: of the samples.
        commit: of the code; None: it does not run from a checkout.
        training: hyperparameters by backbone.
    """

    text: str
    cut: str
    rows_train: int
    rows_validation: int
    rows_test: int
    users: int
    rows_with_vector: int
    users_with_vector: int
    seeds: int
    draws: int
    digest: str
    commit: str | None
    training: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Report:
    """A study's result.

    Attributes:
        study: its name.
        title: for people.
        protocol: how the figures were made.
        knowledge: versions, by what the texts were made with: model, knowledge_version, encoder_version.
        rows: one an arm and backbone.
        comparisons: every pair that the study tests.
        verdict: sentences that follow from the numbers.
        speeds: Table 7's rows; the others have none.
        files: what was written, by `--out`.
        run_id: in MLflow.
    """

    study: str
    title: str
    protocol: Protocol
    knowledge: dict[str, dict[str, str]]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...] = ()
    verdict: tuple[str, ...] = ()
    speeds: tuple[Speed, ...] = ()
    files: tuple[str, ...] = ()
    run_id: str | None = field(default=None, compare=False)

    def further(self) -> "list[Grid]":
        """Tables besides those of every study."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        found = asdict(self)
        speeds = found.pop("speeds")
        return {**found, "rows": speeds} if speeds else found

    def to_json(self) -> str:
        """For a machine."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)


@dataclass(frozen=True)
class Grid:
    """A table in words: what Markdown, HTML and the terminal show."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def grids(report: Report) -> list[Grid]:
    """The report's tables."""
    if report.speeds:
        return [_speeds(report.speeds)]
    found = [_table(report.rows)]
    firsts = {(row.backbone, row.variant, row.against) for row in report.rows}
    others = [each for each in report.comparisons if (each.backbone, each.variant, each.against) not in firsts]
    if others:
        found.append(_pairs("Further pairs, all test rows", others))
    found += report.further()
    with_vector = [each for each in report.comparisons if each.with_vector]
    if with_vector:
        found.append(_pairs("On test rows that have a vector", with_vector, only=True))
    return found


def caption(report: Report) -> list[str]:
    """What one has to know to read the tables."""
    protocol = report.protocol
    lines = [
        protocol.text,
        f"{protocol.rows_train:,} samples fit, {protocol.rows_validation:,} validate, {protocol.rows_test:,} of "
        f"{protocol.users:,} users test, from {protocol.cut}; {protocol.rows_with_vector:,} test samples of "
        f"{protocol.users_with_vector:,} users have a partition vector.",
    ]
    if report.speeds:
        lines.append(
            "CPU time of one thread for 1,000 samples, median of rounds taken in turns within one run. Each distinct "
            "memory is fused once in the time taken, or was before it (fused before): a service fuses a user once and "
            "keeps the vector with their past."
        )
    else:
        lines.append(
            f"Mean {PLUS_MINUS} standard deviation over {protocol.seeds} paired seeds; [low, high]: 95 % interval of "
            f"the difference over {protocol.draws:,} draws of users; p: paired t test over seeds, which knows nothing "
            "of users."
        )
    for name, version in report.knowledge.items():
        said = ", ".join(f"{key.removesuffix('_version')} {value}" for key, value in version.items())
        lines.append(f"Texts ({name}): {said}.")
    lines.append(f"Samples {protocol.digest[:12]}; code {protocol.commit or 'of no checkout'}.")
    return lines


def markdown(report: Report, picture: str | None = None) -> str:
    """The report as Markdown; `picture` is a file beside it."""
    parts = [f"# {report.title}", *[f"**{line}**" for line in report.verdict]]
    if picture:
        parts.append(f"![{report.title}]({picture})")
    for grid in grids(report):
        parts.append(f"## {grid.title}")
        lines = [grid.columns, tuple("---" if n < 2 else "---:" for n in range(len(grid.columns))), *grid.lines]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts.append("\n".join(f"- {line}" for line in caption(report)))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> Grid:
    columns = ("backbone", "variant", "AUC", "log loss", "against", "AUC difference", "p", "rel. AUC", "rel. log loss")
    lines = []
    for row in rows:
        if row.auc is None or row.logloss is None:
            lines.append((row.backbone, row.variant, row.note.partition(":")[0], *[NOTHING] * 6))  # the rest is said
            continue
        lines.append(
            (
                row.backbone, row.variant, _spread(row.auc, row.auc_sd), _spread(row.logloss, row.logloss_sd),
                row.against or NOTHING, interval(row.lift, row.low, row.high), _p(row.p),
                _percent(row.auc_improvement), _percent(row.logloss_improvement),
            )
        )  # fmt: skip
    return Grid("All test rows", columns, tuple(lines))


def _pairs(title: str, comparisons: Sequence[Comparison], only: bool = False) -> Grid:
    lines = []
    for each in comparisons:
        shown = each.with_vector if only and each.with_vector else each
        lines.append((each.backbone, each.variant, each.against, interval(shown.lift, shown.low, shown.high),
                      _p(shown.p)))  # fmt: skip
    return Grid(title, ("backbone", "variant", "against", "AUC difference", "p"), tuple(lines))


def _speeds(speeds: Sequence[Speed]) -> Grid:
    columns = ("backbone", "what", "base, ms", "LIBER, ms", "ratio", "ratio, quartiles")
    lines = tuple(
        (each.backbone, each.what, f"{each.base_ms:.1f}", f"{each.liber_ms:.1f}", f"{each.ratio:.3f}",
         f"{each.ratio_low:.3f} to {each.ratio_high:.3f}")
        for each in speeds
    )  # fmt: skip
    return Grid("Inference time per 1,000 samples", columns, lines)


def _spread(mean: float, sd: float | None) -> str:
    return f"{mean:.4f}" if sd is None else f"{mean:.4f} {PLUS_MINUS} {sd:.4f}"


def interval(lift: float | None, low: float | None, high: float | None) -> str:
    """A difference with its bounds, as tables show it."""
    if lift is None:
        return NOTHING
    return f"{lift:+.4f}" if low is None or high is None else f"{lift:+.4f} [{low:+.4f}, {high:+.4f}]"


def _p(p: float | None) -> str:
    return NOTHING if p is None else "< .001" if p < 0.001 else f"{p:.3f}"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:+.2%}"
