"""Promises of sources behind URLs: a real S3 protocol (moto's server), a real web server, fsspec's memory store."""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from sqlalchemy import Engine

from liber_tasks.behavior.checks import check
from liber_tasks.behavior.files import stores
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.sources import LAYOUTS, Source, find
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from tests.behavior import state
from tests.behavior.files import behavior, write
from tests.behavior.web import PASSWORD, USER, Site, site

KEY, SECRET = "testing-key", "testing-secret-word"
ROWS = [behavior(n) for n in range(1, 40)]


def events(source: Source) -> list[str]:
    with source.on_disk() as file:
        return [
            event
            for block in file.blocks(LAYOUTS["behaviors"])
            for event in check(block, "behaviors", datetime.now(UTC) + timedelta(days=1))
            .good.column("event_id")
            .to_pylist()
        ]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket, credentials and endpoint in the environment."""
    import s3fs

    environment = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{secrets.token_hex(4)}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory:///folder"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    with site(tmp_path / "site") as served:
        yield served


@pytest.fixture(params=["s3", "memory"])
def store(request: pytest.FixtureRequest) -> str:
    """URL of an empty folder in a store."""
    return f"{request.getfixturevalue({'s3': 'bucket', 'memory': 'memory'}[request.param])}/in"


def put(url: str, path: Path) -> str:
    driver, target = fsspec.core.url_to_fs(url)
    driver.put_file(str(path), target)
    return url


def refusal(url: str, error: type[LiberError] = InputError) -> str:
    with pytest.raises(error) as caught:
        [events(source) for source in find([url])]
    message = str(caught.value)
    assert message.startswith(f"{stores.shown(url)}: "), message
    assert "\n" not in message
    return message


# Reading


@pytest.mark.parametrize("name", ["e.jsonl", "e.csv", "e.parquet", "e.jsonl.gz", "e.csv.gz"])
def test_a_file_in_a_store_reads_like_the_same_file_on_disk(store: str, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    (source,) = find([put(f"{store}/{name}", path)])
    assert source.name == f"{store}/{name}"
    assert events(source) == events(find([path])[0]) == [row["event_id"] for row in ROWS]
    with source.on_disk() as file:
        assert file.name == source.name
        assert file.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["e.jsonl", "e.csv", "e.parquet", "e.jsonl.gz"])
def test_a_file_on_a_web_server_without_byte_ranges_reads_the_same(web: Site, name: str) -> None:
    path = write(web.folder / name, ROWS)
    (source,) = find([web.url(name)])
    with source.on_disk() as file:
        assert file.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert events(source) == [row["event_id"] for row in ROWS]


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ROWS)
    (source,) = find([f"file://{path}"])
    assert (source.path, source.name) == (path, str(path))


def test_a_file_is_fetched_once_and_leaves_nothing_behind(web: Site, monkeypatch: pytest.MonkeyPatch,
                                                          tmp_path: Path) -> None:  # fmt: skip
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    write(web.folder / "e.parquet", ROWS)
    (source,) = find([web.url("e.parquet")])
    with source.on_disk() as file:
        file.stamp(), file.sha256(), list(file.blocks(LAYOUTS["behaviors"])), file.stamp()
        assert list(scratch.iterdir()) != []
    assert web.asked.count("GET /e.parquet") == 1
    assert list(scratch.iterdir()) == []


# Finding


def test_a_folder_of_a_store_gives_its_files_by_name(store: str, tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ROWS)
    for name in ("b.jsonl", "a.csv", "part=1/c.parquet", "d.JSONL.GZ", "_SUCCESS", ".e.csv", "notes.txt", "_tmp/f.csv"):
        put(f"{store}/{name}", path)
    found = [(source.name, source.format) for source in find([store])]
    assert found == [
        (f"{store}/a.csv", "csv"), (f"{store}/b.jsonl", "jsonl"), (f"{store}/d.JSONL.GZ", "jsonl"),
        (f"{store}/part=1/c.parquet", "parquet"),
    ]  # fmt: skip
    assert [source.name for source in find([f"{store}/"])] == [name for name, _ in found]


def test_a_pattern_in_a_store_and_a_path_that_meet_give_a_file_once(store: str, tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ROWS)
    for name in ("2.jsonl", "1.jsonl", "deep/3.jsonl", "x.csv"):
        put(f"{store}/{name}", path)
    found = [s.name for s in find([f"{store}/2.jsonl", f"{store}/*.jsonl", path])]
    assert found == [f"{store}/2.jsonl", f"{store}/1.jsonl", str(path)]
    assert [s.name for s in find([f"{store}/**/*.jsonl"])][-1] == f"{store}/deep/3.jsonl"


def test_a_name_with_a_patterns_sign_is_still_a_name(store: str, tmp_path: Path) -> None:
    url = put(f"{store}/day[1].jsonl", write(tmp_path / "e.jsonl", ROWS))
    assert [source.name for source in find([url])] == [url]


def test_folders_and_patterns_of_a_web_server_are_the_links_of_its_page(web: Site) -> None:
    for name in ("b.jsonl", "a.csv", "notes.txt", "deep/c.jsonl"):
        (web.folder / name).parent.mkdir(exist_ok=True)
        write(web.folder / name, ROWS) if name.endswith(("jsonl", "csv")) else (web.folder / name).touch()
    assert [source.name for source in find([web.url("")])] == [web.url("a.csv"), web.url("b.jsonl")]
    assert [source.name for source in find([web.url("*.jsonl")])] == [web.url("b.jsonl")]
    assert [source.name for source in find([web.url("deep/")])] == [web.url("deep/c.jsonl")]


def test_a_query_belongs_to_the_request_not_to_the_name(web: Site) -> None:
    write(web.folder / "e.jsonl.gz", ROWS)
    (source,) = find([web.url("e.jsonl.gz?signature=abc123&x=[1]")])
    assert source.name == web.url("e.jsonl.gz")
    assert len(events(source)) == len(ROWS)
    assert "GET /e.jsonl.gz?signature=abc123&x=[1]" in [line.replace("%5B", "[").replace("%5D", "]")
                                                       for line in web.asked]  # fmt: skip


# Trouble


@pytest.mark.parametrize("tail", ["gone.jsonl", "none/*.jsonl", "none/"])
def test_what_is_not_in_a_store_is_named(store: str, tail: str) -> None:
    assert "no such file or folder" in refusal(f"{store}/{tail}")


def test_what_is_not_on_a_web_server_and_a_bucket_that_is_not_there_are_named(web: Site, bucket: str) -> None:
    assert "no such file" in refusal(web.url("gone.jsonl"))
    assert "no such file" in refusal(f"{bucket}-of-nobody/e.jsonl")


def test_a_missing_driver_names_the_package_to_install() -> None:
    assert "gcsfs" in refusal("gs://bucket/e.jsonl")
    assert "adlfs" in refusal("abfs://box/e.jsonl")


def test_an_unknown_protocol_is_refused() -> None:
    assert "no driver reads gopher://" in refusal("gopher://hole/e.jsonl")


def test_credentials_in_a_url_open_the_file_and_show_nowhere(web: Site) -> None:
    write(web.folder / "e.jsonl", ROWS)
    url = web.url("!locked/e.jsonl", f"{USER}:{PASSWORD}@")
    (source,) = find([url])
    assert source.name == web.url("!locked/e.jsonl")
    assert len(events(source)) == len(ROWS)
    assert PASSWORD not in repr(source)
    for wrong in (web.url("!locked/e.jsonl"), web.url("!locked/e.jsonl", f"{USER}:{PASSWORD}x@")):
        message = refusal(wrong)
        assert "access is refused" in message
        assert PASSWORD not in message


@pytest.mark.parametrize(("status", "error", "said"), [
    (403, InputError, "access is refused"), (404, InputError, "no such file"), (500, ServiceUnavailable, "reached"),
    (503, ServiceUnavailable, "reached"),
])  # fmt: skip
def test_each_answer_of_a_web_server_is_told_apart(web: Site, status: int, error: type[LiberError], said: str) -> None:
    url = web.url(f"!{status}/e.jsonl?X-Signature=s3cret", f"{USER}:{PASSWORD}@")
    message = refusal(url, error)
    assert said in message
    assert PASSWORD not in message
    assert "s3cret" not in message


def test_a_server_that_is_not_there_is_unavailable(web: Site) -> None:
    message = refusal(f"http://{USER}:{PASSWORD}@127.0.0.1:1/e.jsonl", ServiceUnavailable)
    assert "cannot be reached" in message
    assert PASSWORD not in message


def test_a_connection_lost_halfway_is_unavailable(web: Site) -> None:
    write(web.folder / "e.jsonl", [behavior(n) for n in range(20_000)])
    assert "broke off" in refusal(web.url("!cut/e.jsonl"), ServiceUnavailable)


def test_s3_without_credentials_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    assert "access is refused" in refusal(f"{bucket}/e.jsonl")


def test_s3_out_of_reach_is_unavailable(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    message = refusal(f"{bucket}/e.jsonl", ServiceUnavailable)
    assert SECRET not in message


def test_a_file_that_changes_while_it_is_fetched_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ROWS)

    def rewrite(served: Site, method: str) -> None:
        if method == "GET":
            write(path, [behavior(n) for n in range(50)])

    with site(tmp_path, rewrite) as served:
        message = refusal(served.url("e.jsonl"))
    assert "changed while it was read" in message


def test_a_new_version_of_an_object_is_seen_although_it_was_listed_before(bucket: str, tmp_path: Path) -> None:
    url = put(f"{bucket}/e.jsonl", write(tmp_path / "e.jsonl", ROWS[:3]))
    (source,) = find([bucket])
    put(url, write(tmp_path / "e.jsonl", ROWS[:5]))
    assert len(events(source)) == 5


def test_a_disk_that_is_too_small_is_named(web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    write(web.folder / "e.jsonl", ROWS)
    usage: Any = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(LiberError, match="TMPDIR"):
        events(find([web.url("e.jsonl")])[0])


def test_credentials_of_a_folders_url_open_its_files_too(web: Site) -> None:
    (web.folder / "in").mkdir()
    write(web.folder / "in" / "e.jsonl", ROWS)
    (source,) = find([web.url("!locked/in/", f"{USER}:{PASSWORD}@")])
    assert source.name == web.url("!locked/in/e.jsonl")
    assert len(events(source)) == len(ROWS)


# Ingest


def test_files_in_a_store_are_loaded_once_and_named_without_credentials(
    engine: Engine, settings: Settings, bucket: str, web: Site, tmp_path: Path
) -> None:
    put(f"{bucket}/in/1.csv.gz", write(tmp_path / "1.csv.gz", ROWS[:20]))
    put(f"{bucket}/in/2.parquet", write(tmp_path / "2.parquet", ROWS[15:]))
    first = ingest(engine, settings, [f"{bucket}/in"])
    assert [(file.accepted, file.duplicates) for file in first.files] == [(20, 0), (19, 5)]
    write(web.folder / "copy.csv.gz", ROWS[:20])
    again = ingest(engine, settings, [f"{bucket}/in/*", web.url("!locked/copy.csv.gz", f"{USER}:{PASSWORD}@")])
    assert (again.already_ingested, again.rows_read) == (3, 0)
    assert again.files[-1].source == web.url("!locked/copy.csv.gz")
    stored = state.rows(engine, "SELECT source FROM liber.ingest_file ORDER BY file_id")
    assert stored == [(f"{bucket}/in/1.csv.gz",), (f"{bucket}/in/2.parquet",)]
