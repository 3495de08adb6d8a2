"""Promises of the database layer."""

import pytest
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable


def test_a_second_init_db_applies_nothing(database_url: str) -> None:
    assert db.init_db(database_url) == []


def test_an_unreachable_database_is_named_in_one_sentence() -> None:
    with pytest.raises(ServiceUnavailable, match="LIBER_DATABASE_URL"):
        db.init_db("postgresql://nobody@127.0.0.1:1/none")


def test_only_postgresql_urls_are_accepted() -> None:
    with pytest.raises(InputError, match="sqlite"):
        db.engine("sqlite://")


def test_a_database_without_the_schema_says_what_to_run(cluster) -> None:
    bare = db.engine(cluster.url("postgres"))
    with pytest.raises(LiberError, match="liber init-db"), db.database_errors(), bare.connect() as connection:
        connection.execute(text("SELECT * FROM liber.behavior"))


def test_pipeline_status_has_one_row_a_stage(engine: Engine) -> None:
    with engine.connect() as connection:
        stages = connection.execute(text("SELECT stage FROM liber.pipeline_status")).scalars().all()
    assert stages == ["ingest", "partition", "summary", "shift", "encode", "item knowledge", "readout"]
