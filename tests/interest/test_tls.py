"""Which LLM servers' certificates are trusted: against a real https server."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.llm import LlmClient
from tests.interest.asking import ask
from tests.interest.faults import GOOD, faulty


@dataclass(frozen=True)
class Authority:
    """A private authority's certificate, and a server whose key it signed."""

    ca_file: Path
    key_file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])

    def certificate(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, is_ca: bool) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        return (
            x509.CertificateBuilder(ca_name, subject, public_key, x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(signer, critical=False)
        )

    pem = serialization.Encoding.PEM
    signed_ca = certificate(ca_name, ca_key.public_key(), True).sign(ca_key, hashes.SHA256())
    signed = certificate(name, key.public_key(), False).add_extension(address, False).sign(ca_key, hashes.SHA256())
    ca_file, key_file, server_file = folder / "ca.pem", folder / "key.pem", folder / "server.pem"
    ca_file.write_bytes(signed_ca.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    server_file.write_bytes(signed.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file, key_file)
    return Authority(ca_file, key_file, context)


def test_a_server_signed_by_the_given_authority_is_used(settings: Settings, authority: Authority) -> None:
    with faulty(lambda *_: GOOD, tls=authority.server) as seen:
        (answer,) = ask(settings, seen.url, ["p"], llm_ca_file=authority.ca_file)
    assert seen.url.startswith("https://")
    assert answer.text
    assert seen.others  # probes trust it too


def test_a_server_signed_by_nobody_known_is_refused_at_once(settings: Settings, authority: Authority) -> None:
    with faulty(lambda *_: GOOD, tls=authority.server) as seen:
        (error,) = ask(settings, seen.url, ["p"], llm_patience=60.0)
    assert type(error) is LiberError
    assert "LIBER_LLM_CA_FILE" in str(error)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert not seen.prompts


def test_two_clients_in_one_process_do_not_share_their_trust(settings: Settings, authority: Authority) -> None:
    with faulty(lambda *_: GOOD, tls=authority.server) as seen:
        careful = settings.model_copy(update={"llm_url": seen.url})
        trusting = careful.model_copy(update={"llm_ca_file": authority.ca_file})

        async def run() -> tuple[list[object], str]:
            async with LlmClient(careful) as first, LlmClient(trusting) as second, LlmClient(careful) as third:
                refused = await asyncio.gather(first.complete("p", 8), third.complete("p", 8), return_exceptions=True)
                answer = await second.complete("p", 8)
                return refused, answer.text

        refused, text = asyncio.run(run())
    assert all("LIBER_LLM_CA_FILE" in str(error) for error in refused)
    assert text


def test_a_file_that_is_no_certificate_names_the_setting(
    settings: Settings, authority: Authority, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file, says in ((tmp_path / "none.pem", "no such file"), (empty, "PEM"), (authority.key_file, "PEM"),
                       (tmp_path, "PEM")):  # fmt: skip
        with pytest.raises(InputError, match="LIBER_LLM_CA_FILE") as raised:
            LlmClient(settings.model_copy(update={"llm_url": "https://127.0.0.1:1", "llm_ca_file": file}))
        assert says in str(raised.value)
        assert str(file) in str(raised.value)
