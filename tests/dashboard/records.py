"""Readouts built by hand, in the shapes that the dashboard must show."""

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from liber_tasks.experiment.record import (
    METHODS,
    Age,
    Distribution,
    Estimate,
    Guardrail,
    Interaction,
    Look,
    Metric,
    Novelty,
    Quality,
    Readout,
    SampleRatio,
    Segment,
)  # fmt: skip

START = date(2026, 1, 5)
DAYS = 14
SPREAD = {"raw": 2.0, "cuped": 1.0, "capped": 1.6, "capped_cuped": 0.9}  # of the intervals


def estimate(lift: float | None, half: float = 0.01, p: float | None = None, reason: str | None = None) -> Estimate:
    """A lift with its interval; the p-value follows from them unless given."""
    if lift is None:
        return Estimate(reason=reason or "No user of the control arm played: a relative lift is undefined.")
    p = math.erfc(abs(lift) * 1.96 / half / math.sqrt(2)) if p is None else p
    mde = 1.43 * half if p >= 0.05 else None
    return Estimate(10.0, 10 * (1 + lift), lift, lift - half, lift + half, p, mde, reason)


def looks(lift: float, half: float, days: int = DAYS, planned: tuple[int, ...] = (7, 10, 14)) -> list[Look]:
    """A lift that settles, with bands that close; planned looks after the days given."""
    found = []
    for n in range(1, days + 1):
        now, width = lift * (1 + math.sin(n) / n), half * math.sqrt(DAYS / n)
        at = n in planned
        found.append(
            Look(
                until=(START + timedelta(days=n)).isoformat(), planned=at, control=900 * n, treatment=910 * n, lift=now,
                planned_low=now - 1.15 * width if at else None, planned_high=now + 1.15 * width if at else None,
                anytime_low=now - 1.6 * width, anytime_high=now + 1.6 * width,
            )
        )  # fmt: skip
    return found


def metric(name: str, lift: float, half: float = 0.015, days: int = DAYS, **changes: Any) -> Metric:
    """A metric with everything a record may hold."""
    platforms = {"android": lift * 0.6, "ios": lift * 1.9, "**web** [x](http://example.org)": lift}
    ages = {"new this month": lift * 1.2, "a year or longer": lift * 0.9}
    segments = [
        Segment(dimension, value, 2_000, 2_040, estimate(each, 2 * half), min(1.0, 0.02 * (n + 1)))
        for dimension, values in (("platform", platforms), ("account age", ages))
        for n, (value, each) in enumerate(values.items())
    ]
    return replace(
        Metric(
            name=name,
            unit="seconds per user" if "time" in name else "plays per user",
            estimates={method: estimate(lift, half * SPREAD[method]) for method in METHODS},
            cap=4_200.0,
            looks=looks(lift, half, days),
            segments=segments,
            interactions=[
                Interaction("platform", 9.4, 2, 0.009),
                Interaction("account age", None, None, None, "one value has too few users"),
            ],
            novelty=Novelty(
                [Age(n, 12_000 - 500 * n, 12_100 - 500 * n, lift * (1.6 - 0.1 * n), lift * (1.6 - 0.1 * n) - half * 2,
                     lift * (1.6 - 0.1 * n) + half * 2) for n in range(10)],
                slope=-0.0031, p_value=0.012,
            ),
            distribution=Distribution(
                edges=[round(4 * 1.5**n, 2) for n in range(20)],
                control=[1200, *(int(900 * math.exp(-((n - 9) ** 2) / 18)) for n in range(20))],
                treatment=[1150, *(int(905 * math.exp(-((n - 9.4) ** 2) / 18)) for n in range(20))],
            ),
            formula=f"sum of {name} over the days from the first exposure on",
        ),
        **changes,
    )  # fmt: skip


def rich(**changes: Any) -> Readout:
    """A finished experiment whose treatment is better, with guardrails and everything else."""
    metrics = [
        metric("play_count", 0.031),
        metric("play_time", 0.052),
        metric("time_per_play", 0.004, role="secondary"),
        metric("active_days", 0.002, role="guardrail", guardrail=Guardrail(0.02, "non-inferior")),
        metric(
            "complaints", -0.001, role="guardrail", better="lower", cap=None, guardrail=Guardrail(0.05, "non-inferior")
        ),
    ]
    return replace(
        Readout(
            experiment="liber-memory-2026",
            hypothesis="Interests learnt from a user's long-term memory raise play count and play time.",
            simulated=False,
            planted=None,
            starts_at=f"{START}T00:00:00+00:00",
            ends_at=f"{START + timedelta(days=DAYS)}T00:00:00+00:00",
            watermark=f"{START + timedelta(days=DAYS)}T00:00:00+00:00",
            complete=True,
            users={"control": 12_612, "treatment": 12_740},
            sample_ratio=SampleRatio(0.5, 0.5025, 0.65, 0.42, 0.001),
            quality=Quality(0, 0, 0, {"control": 14, "treatment": 11}, {"control": 820, "treatment": 801},
                            {"control": 310, "treatment": 305}),
            metrics={one.name: one for one in reversed(metrics)},
            method={
                "version": 2, "lift": "mean(treatment) / mean(control) - 1", "libraries": {"tea-tasting": "1.14.0"},
                "cuped": "y - theta * (x - mean(x))",
                "sql": ["sql/queries/experiment/moments.sql", "README.md", "/etc/*"],
                "days": ["2026-01-05", "2026-01-19"], "pre_period": ["2025-12-29", "2026-01-05"],
            },
            input_sha256="a" * 64,
            models={"control": "models:/liber-ctr/3", "treatment": "models:/liber-ctr/7"},
        ),
        **changes,
    )  # fmt: skip


def changed(readout: Readout, name: str, **changes: Any) -> Readout:
    """The readout with another metric of that name."""
    return replace(readout, metrics=readout.metrics | {name: replace(readout.metrics[name], **changes)})


def mismatched() -> Readout:
    """Too few treated users."""
    return rich(
        experiment="mismatched",
        sample_ratio=SampleRatio(
            0.5, 0.47, 91.3, 1e-21, 0.001,
            ["The treated arm loses users of app 4.2 at the first play.", "Bots were left out of one arm more."],
        ),
        quality=Quality(3, 12, 41, {"control": 14, "treatment": 390}, {"control": 820, "treatment": 801}),
    )  # fmt: skip


def breached() -> Readout:
    """Better by the primary metrics, but a guardrail has lost too much."""
    inferior = {method: estimate(-0.06, 0.015) for method in METHODS}
    return changed(
        rich(experiment="breached"), "active_days", estimates=inferior, guardrail=Guardrail(0.02, "inferior")
    )


def unclear() -> Readout:
    """No primary metric moves."""
    flat = [metric("play_count", 0.004, 0.02), metric("play_time", -0.006, 0.02)]
    return replace(rich(experiment="unclear"), metrics={one.name: one for one in flat})


def running(lift: float = 0.06, start: date = START, days: int = 8, half: float = 0.015) -> Readout:
    """Day 8 of 14, the planned look after day 7 behind it."""
    metrics = [metric("play_count", lift, half, days), metric("play_time", 0.004, half, days)]
    shift = start - START
    metrics = [
        replace(
            one, looks=[replace(look, until=(date.fromisoformat(look.until) + shift).isoformat()) for look in one.looks]
        )
        for one in metrics
    ]
    return rich(
        experiment="running", complete=False, starts_at=f"{start}T00:00:00+00:00",
        ends_at=f"{start + timedelta(days=DAYS)}T00:00:00+00:00",
        watermark=f"{start + timedelta(days=days)}T00:00:00+00:00",
        metrics={one.name: one for one in metrics},
    )  # fmt: skip


def old() -> dict[str, Any]:
    """A record as method 1 stored it: two methods by metric, and nothing that came later."""
    record = replace(rich(experiment="old"), method={"version": 1, "lift": "as then"}).to_dict()
    metrics = {}
    for name in ("play_count", "play_time", "time_per_play"):
        both = record["metrics"][name]["estimates"]
        metrics[name] = {
            "name": name,
            "unit": record["metrics"][name]["unit"],
            "raw": both["raw"],
            "cuped": both["cuped"],
        }
    del record["models"], record["sample_ratio"]["causes"]
    return record | {"metrics": metrics, "quality": {"wrong_arm": 0, "exposed_outside": 0}}


def store(engine: Engine, record: Readout | dict[str, Any], read_at: datetime | None = None) -> None:
    """Keep a record and the experiment it is of."""
    values = record.to_dict() if isinstance(record, Readout) else record
    with engine.begin() as connection:
        key = connection.execute(
            text("INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at,"
                 " ends_at, simulated) VALUES (:experiment, :hypothesis, :experiment, 0.5, 0.5, :starts_at, :ends_at,"
                 " :simulated) RETURNING experiment_key"),
            {name: values[name] for name in ("experiment", "hypothesis", "starts_at", "ends_at", "simulated")},
        ).scalar_one()  # fmt: skip
        connection.execute(
            text("INSERT INTO liber.readout (experiment_key, watermark, until_day, input_sha256, result,"
                 " created_at) VALUES (:key, :watermark, cast(:watermark AS date), :digest, :result, :at)"),
            {"key": key, "watermark": values["watermark"], "digest": values["input_sha256"],
             "result": json.dumps(values, allow_nan=False), "at": read_at or datetime.now(UTC)},
        )  # fmt: skip
