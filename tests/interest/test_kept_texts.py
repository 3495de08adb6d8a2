"""The texts kept in `tests/texts` belong to MovieLens-100K as it is ingested and sealed today."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings
from liber_tasks.interest.files.knowledge_import import import_
from liber_tasks.interest.learn import learn
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal

KEPT = Path(__file__).parents[1] / "texts" / "movielens-100k.smollm2-135m.jsonl.gz"


def test_kept_texts_are_imported_whole_and_learning_goes_on_from_them(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    data = obtain(settings, tmp_path)
    for kind, path in (("items", data.items), ("users", data.users), ("behaviors", data.behaviors)):
        ingest(engine, settings, [path], kind=kind)
    seal(engine, PartitionRule(20), datetime.now(UTC))
    report = import_(engine, KEPT)
    assert report.imported == report.read > 1000
    continued = settings.model_copy(update={"knowledge_version": report.knowledge_version})
    plan = learn(engine, continued, dry_run=True)
    assert plan.knowledge_version == report.knowledge_version
    assert plan.calls + report.imported == 4604 + 3661  # every partition's summary, every shift
