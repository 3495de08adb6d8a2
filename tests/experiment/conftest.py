"""What the tests of experiments share: rows of an experiment, written as a service would."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=7)
SALT = "real-salt"

AddExperiment = Callable[..., int]


@pytest.fixture
def add_experiment(engine: Engine) -> AddExperiment:
    """Insert a real (not simulated) experiment; returns its key."""

    def add(name: str = "real", control_share: float = 0.5, treatment_share: float = 0.5) -> int:
        with engine.begin() as connection:
            return connection.execute(
                text(
                    "INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, "
                    "ends_at) VALUES (:name, 'h', :salt, :c, :t, :start, :end) RETURNING experiment_key"
                ),
                {
                    "name": name, "salt": SALT, "c": control_share, "t": treatment_share, "start": START, "end": END,
                },
            ).scalar_one()  # fmt: skip

    return add


def expose(engine: Engine, key: int, rows: list[tuple[str, str, datetime]]) -> None:
    """Insert exposures (user, arm, time)."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO liber.exposure VALUES (:key, :user, :arm, :at)"),
            [{"key": key, "user": user, "arm": arm, "at": at} for user, arm, at in rows],
        )


def behave(engine: Engine, rows: list[tuple[str, datetime, float | None]], kind: str = "play") -> None:
    """Append behaviours (user, time, play seconds) and move the users' streams on."""
    with engine.begin() as connection:
        for user, at, seconds in rows:
            connection.execute(
                text("INSERT INTO liber.user_profile (user_id) VALUES (:user) ON CONFLICT DO NOTHING"), {"user": user}
            )
            connection.execute(
                text(
                    "WITH s AS (INSERT INTO liber.user_stream AS u (user_key, last_seq, clock) "
                    "SELECT user_key, 1, :at FROM liber.user_profile WHERE user_id = :user ON CONFLICT (user_key) "
                    "DO UPDATE SET last_seq = u.last_seq + 1, clock = greatest(u.clock, excluded.clock) "
                    "RETURNING user_key, last_seq, clock) "
                    "INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, play_seconds, "
                    "kind, event_id) SELECT user_key, last_seq, 1, :at, clock, :seconds, "
                    "cast(:kind AS liber.behavior_kind), :user || last_seq FROM s"
                ),
                {"user": user, "at": at, "seconds": seconds, "kind": kind},
            )
