"""The rehearsal of a disaster: what a restored stack holds, who does not come back, and that work goes on."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.local.backup import backup
from liber_tasks.local.backup_store import Store
from liber_tasks.local.environment import Stack
from liber_tasks.local.restore import Restored, restore
from tests.backup.world import day, digests, lose, now, running, stack_in
from tests.behavior import state
from tests.behavior.erasing import places

pytestmark = pytest.mark.timeout(3000)  # servers are stopped and started, on whatever machine
USERS = ("ann", "ben", "cem", "dot")
GONE = "SELECT user_id FROM liber.user_profile ORDER BY 1"


@dataclass
class Story:
    """What a stack held at some moments of its life, and what its restores said."""

    stack: Stack
    moments: dict[str, datetime] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Restored] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Three days and a backup within; the second is restored, the third is loaded again, then the disk breaks.

    ann and a visitor of day two are erased on day three, cem is erased and re-admitted.
    """
    folder = tmp_path_factory.mktemp("story")
    stack = stack_in(folder)
    story = Story(stack)
    model = stack.var / "mlflow" / "1" / "model.bin"
    with running(stack) as engine:
        day(engine, stack.settings, folder, 1, USERS)
        model.parent.mkdir(parents=True)
        model.write_bytes(b"weights")
        backup(stack)
        day(engine, stack.settings, folder, 2, (*USERS, "visitor"))
        story.held["day 2"] = digests(engine), state.everything(engine)
        story.moments["day 2"] = now(engine)
        day(engine, stack.settings, folder, 3, USERS)
        story.held["day 3"] = state.everything(engine)
        story.moments["day 3"] = now(engine)
        for user in ("ann", "cem", "visitor"):
            erase(engine, user)
        readmit(engine, "cem")
        erase(engine, "never seen")

    story.said["day 2"] = restore(stack, story.moments["day 2"])
    with running(stack) as engine:
        story.held["restored"] = digests(engine), state.everything(engine)
        story.held["places"] = [place for user in ("ann", "cem", "visitor") for place in places(engine, user)]
        day(engine, stack.settings, folder, 3, USERS)
        story.held["went on"] = state.everything(engine)

    lose(stack.var)
    stack = story.stack = Stack(stack.var, stack.settings)  # nothing in memory either
    story.said["newest"] = restore(stack)
    with running(stack) as engine:
        story.held["newest"] = state.everything(engine)
    story.held["model"] = model.read_bytes()

    story.said["day 3"] = restore(stack, story.moments["day 3"])
    with running(stack) as engine:
        story.held["old timeline"] = state.everything(engine)
    return story


def without(held: dict[str, list[Any]], *users: str) -> dict[str, list[Any]]:
    """What stays of all that ingest and seal wrote when users were erased."""
    left = {
        part: [row for row in held[part] if not {*users} & {cell for cell in row if isinstance(cell, str)}]
        for part in ("stream", "cursors", "partitions", "profiles")
    }
    raws = [(*row[:3], row[3] if row[3] and not any(f'"{user}"' in row[3] for user in users) else None)
            for row in held["rejected"]]  # fmt: skip
    return left | {"rejected": raws, "files": held["files"]}


def test_a_restored_database_has_the_rows_of_its_moment(story: Story) -> None:
    assert story.held["restored"][1] == without(story.held["day 2"][1], "ann", "cem", "visitor")


def test_tables_without_users_are_the_same_to_the_last_byte(story: Story) -> None:
    before, after = story.held["day 2"][0], story.held["restored"][0]
    for table in ("item", "ingest_file", "knowledge_version", "experiment"):
        assert after[table] == before[table]


def test_users_erased_since_do_not_come_back(story: Story) -> None:
    assert story.said["day 2"].erased_again == 3
    assert story.held["places"] == []


def test_a_user_readmitted_since_starts_from_nothing_and_is_not_refused(story: Story) -> None:
    seqs = [row[1] for row in story.held["went on"]["stream"] if row[0] == "cem"]
    assert seqs == [1, 2, 3, 4]


def test_users_erased_since_stay_refused(story: Story) -> None:
    assert {row[0] for row in story.held["went on"]["stream"]} == {"ben", "cem", "dot"}


def test_what_was_lost_is_loaded_again_and_the_data_are_those_of_an_undisturbed_run(story: Story) -> None:
    undisturbed, went_on = (without(story.held[name], "ann", "cem", "visitor") for name in ("day 3", "went on"))
    del undisturbed["files"], went_on["files"]  # they count the refused rows
    assert went_on == undisturbed


def test_a_lost_disk_comes_back_whole_with_files_and_secrets(story: Story) -> None:
    assert story.held["newest"] == story.held["went on"]
    assert story.held["model"] == b"weights"
    assert (story.stack.var / "secrets.json").stat().st_mode & 0o077 == 0
    assert story.said["newest"].kept is None


def test_a_moment_before_an_earlier_restore_means_what_was_held_then(story: Story) -> None:
    assert story.held["old timeline"] == without(story.held["day 3"], "ann", "cem", "visitor")


def test_the_database_as_it_was_is_kept(story: Story) -> None:
    kept = story.said["day 3"].kept
    assert kept
    assert (kept / "PG_VERSION").exists()


def test_each_restore_ends_with_a_backup(story: Story) -> None:
    names = [made.folder.name for made in Store.of(story.stack).all()]
    assert names == [story.said["day 2"].backup, *(said.new_backup for said in story.said.values())]


def test_backups_and_log_are_nobody_elses_to_read(story: Story) -> None:
    root = Store.of(story.stack).root
    for path in (root, root / "wal", *(made.folder for made in Store.of(story.stack).all())):
        assert path.stat().st_mode & 0o077 == 0, path
