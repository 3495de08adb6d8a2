"""PostgreSQL and MLflow behind TLS: one authority is trusted and nobody else; and MLflow where it asks for a login."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from liber_tasks import db, mlflow_client
from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from tests.interest.test_tls import Authority, authority  # noqa: F401
from tests.safety.conftest import DATABASE, OWNER, Server
from tests.safety.tls_front import tls_in_front
from tests.services_mlflow import mlflow_server

PASSWORD = "mlflow-Pa55word-of-twelve"


@pytest.fixture(scope="module")
def guarded(server: Server, authority: Authority) -> Iterator[str]:  # noqa: F811
    """URL of the owner that only TLS reaches, without options."""
    with tls_in_front(server.cluster.port, authority.server, postgres=True) as port:
        yield f"postgresql://{OWNER}:{server.cluster.password}@127.0.0.1:{port}/{DATABASE}"


def test_postgresql_that_the_given_authority_signed_is_used(guarded: str, authority: Authority) -> None:  # noqa: F811
    url = f"{guarded}?sslmode=verify-full&sslrootcert={authority.ca_file}"
    assert db.init_db(url) == []  # the tool for migrations trusts it too
    with db.engine(url).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM liber.pipeline_status")).scalar_one()


def test_postgresql_of_another_authority_or_without_tls_is_refused_in_one_sentence(
    guarded: str, authority: Authority, server: Server  # noqa: F811
) -> None:  # fmt: skip
    other = Path(authority.ca_file).with_name("other.pem")
    _authority(other)
    plain = guarded.replace(guarded.rpartition(":")[2].split("/")[0], str(server.cluster.port))
    for url, said in (
        (f"{guarded}?sslmode=verify-full&sslrootcert={other}", "certificate verify failed"),
        (f"{guarded}?sslmode=verify-full&sslrootcert={other.with_name('none.pem')}", "none.pem"),
        (f"{plain}?sslmode=verify-full&sslrootcert={authority.ca_file}", "does not support SSL"),
        (f"{guarded}?sslmode=disable", "closed the connection"),
    ):
        with pytest.raises(ServiceUnavailable) as raised:
            db.init_db(url)
        assert said in str(raised.value)
        assert "\n" not in str(raised.value)
        assert server.cluster.password not in str(raised.value)


@pytest.fixture(scope="module")
def mlflow_with_logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an MLflow server that asks who is there."""
    environment = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-of-the-tests", "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}
    with mlflow_server(tmp_path_factory.mktemp("guarded"), "--app-name", "basic-auth", environment=environment) as url:
        yield url


WORK = """
import sys, tempfile, pathlib
from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.training import registry, tracking
settings = Settings(_env_file=None)
try:
    client = tracking.connect(settings)
    run = client.create_run(tracking.experiment_id(client))
    client.log_text(run.info.run_id, "kept", "kept.txt")
    client.create_registered_model(settings.model_name)
    with tracking.pointed_at(settings.require("mlflow_tracking_uri")), tempfile.TemporaryDirectory() as folder:
        file = client.download_artifacts(run.info.run_id, "kept.txt", folder)
        print(pathlib.Path(file).read_text())
except LiberError as error:
    sys.exit(str(error))
"""


def work(uri: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Track, keep a file and register, in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIBER_", "MLFLOW_"))}
    given = {**clean, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri, **environment}
    return subprocess.run(
        [sys.executable, "-c", WORK], env=given, capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.timeout(1200)
def test_mlflow_takes_its_login_and_its_authority_from_its_own_variables(
    mlflow_with_logins: str, authority: Authority  # noqa: F811
) -> None:  # fmt: skip
    login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    with tls_in_front(int(mlflow_with_logins.rpartition(":")[2]), authority.server) as port:
        uri = f"https://127.0.0.1:{port}"
        trusted = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(authority.ca_file)}
        done = work(uri, **login, **trusted)
        assert done.stdout.strip().endswith("kept"), done.stderr
        for variables, named in ((trusted, "MLFLOW_TRACKING_USERNAME"),
                                 (trusted | login | {"MLFLOW_TRACKING_PASSWORD": "wrong"}, "MLFLOW_TRACKING_USERNAME"),
                                 (login, "MLFLOW_TRACKING_SERVER_CERT_PATH")):  # fmt: skip
            refused = work(uri, **variables)
            assert named in refused.stderr.splitlines()[-1]
            assert PASSWORD not in refused.stdout + refused.stderr


@pytest.mark.parametrize("name", ["mlflow_tracking_uri", "llm_url"])
def test_an_address_with_a_login_is_refused_because_errors_repeat_addresses(name: str) -> None:
    changes = {name: "http://somebody:hidden@127.0.0.1:1"}
    with pytest.raises(InputError, match="holds a login") as raised:
        Settings(_env_file=None).model_copy(update=changes).require(name)
    assert "hidden" not in str(raised.value)


def test_the_login_of_airflows_connection_goes_where_mlflow_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "before")
    assert mlflow_client.login_apart("https://ann:p%40ss@host:1/a") == "https://host:1/a"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("ann", "p@ss")
    assert mlflow_client.login_apart("http://host:1") == "http://host:1"
    monkeypatch.undo()


def _authority(file: Path) -> None:
    """Certificate of somebody else."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
