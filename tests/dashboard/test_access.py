"""Who may read the dashboard."""

from pathlib import Path

import pytest
from oidc_provider_mock import run_server_in_thread
from playwright.sync_api import Browser, expect
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.dashboard.__main__ import command
from liber_tasks.dashboard.access import check
from liber_tasks.errors import InputError
from tests.dashboard import records
from tests.dashboard.conftest import StartDashboard

PAGES = ("", "readout?experiment=liber-memory-2026", "timeline", "pipeline")
LOGIN = """
[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "liber"
client_secret = "secret"
server_metadata_url = "http://localhost:%d/.well-known/openid-configuration"
"""


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@pytest.fixture
def login(tmp_path: Path) -> Path:
    file = tmp_path / "login.toml"
    file.write_text(LOGIN % 1)
    return file


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_needs_no_login(address: str) -> None:
    check(settings(dashboard_address=address))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.1.2.3", "dashboard.example.org"])
def test_other_machines_need_a_login_or_a_word_that_they_do_not(address: str, login: Path) -> None:
    with pytest.raises(InputError, match="LIBER_DASHBOARD_AUTH"):
        command(1, settings(dashboard_address=address))
    check(settings(dashboard_address=address, dashboard_open=True))
    assert f"--secrets.files={login}" in command(1, settings(dashboard_address=address, dashboard_auth=login))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "section"),
        (lambda text: text.replace("[auth]", "[auth"), "cannot be read as TOML"),
        (lambda text: text.replace('client_id = "liber"', ""), "has no client_id"),
        (lambda text: text.replace("0123456789abcdef", "x"), "cookie_secret"),
    ],
)
def test_a_login_that_would_let_nobody_or_anybody_in_is_refused_at_the_start(change, said: str, login: Path) -> None:
    login.write_text(change(login.read_text()))
    with pytest.raises(InputError, match=said):
        check(settings(dashboard_auth=login))
    with pytest.raises(InputError, match="cannot be read"):
        check(settings(dashboard_auth=login.with_name("none.toml")))


def test_no_page_shows_anything_before_its_reader_has_signed_in(
    engine: Engine, database_url: str, login: Path, start_dashboard: StartDashboard, browser: Browser
) -> None:
    records.store(engine, records.rich())
    with run_server_in_thread() as provider, browser.new_context() as context:
        login.write_text(LOGIN % provider.server_port)
        url = start_dashboard(database_url, LIBER_DASHBOARD_AUTH=str(login))
        context.route("https://**", lambda route: route.abort())  # the provider's style sheet
        page = context.new_page()
        for path in PAGES:
            page.goto(f"{url}/{path}")
            expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            assert page.get_by_text("liber-memory-2026").count() == 0
            assert page.get_by_role("link", name="Pipeline").count() == 0
        page.get_by_role("button", name="Sign in").click()
        page.get_by_placeholder("sub").fill("alice@example.org")
        page.get_by_role("button", name="Authorize").click()
        expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
        expect(page.get_by_text("liber-memory-2026", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Experiments")).to_have_count(0)  # the provider may ask once more
        page.goto(f"{url}/readout")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
