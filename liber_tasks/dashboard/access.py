"""Who may read: this machine's users; those an OpenID Connect provider lets in; or, when told so, everybody."""

import tomllib
from importlib.util import find_spec
from ipaddress import ip_address

from liber_tasks.config import Settings
from liber_tasks.errors import InputError

REQUIRED = (
    "redirect_uri",
    "cookie_secret",
    "client_id",
    "client_secret",
    "server_metadata_url",
)  # of Streamlit's [auth]
COOKIE_SECRET = 32  # characters at least: whoever guesses it is anybody


def check(settings: Settings) -> None:
    """Refuse a configuration that would let strangers in, or nobody.

    Args:
        settings: `dashboard_address`, `dashboard_auth`, `dashboard_open`.

    Raises:
        InputError: other machines could read without a login and nobody has allowed it; or the login's file is missing
            or incomplete.
    """
    if settings.dashboard_auth is not None:
        _check_login(settings)
    elif not is_loopback(settings.dashboard_address) and not settings.dashboard_open:
        raise InputError(
            f"LIBER_DASHBOARD_ADDRESS is {settings.dashboard_address}: other machines could read the dashboard without "
            "a login. Set LIBER_DASHBOARD_AUTH to a file with your OpenID Connect provider (docs/dashboard.md), or "
            "LIBER_DASHBOARD_OPEN=true if something in front of it asks who reads."
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _check_login(settings: Settings) -> None:
    file = settings.dashboard_auth
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))["auth"]  # type: ignore[union-attr]
        missing = [name for name in REQUIRED if not found.get(name)]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"LIBER_DASHBOARD_AUTH is {file}, which cannot be read as TOML with a section [auth] ({error}): write one "
            "as in docs/dashboard.md."
        ) from error
    if missing:
        raise InputError(f"{file} has no {', '.join(missing)} in its section [auth]: see docs/dashboard.md.")
    if len(str(found["cookie_secret"])) < COOKIE_SECRET:
        raise InputError(
            f"cookie_secret in {file} has fewer than {COOKIE_SECRET} characters: write a random one, such as "
            "`openssl rand -hex 32` prints."
        )
    if find_spec("authlib") is None:
        raise InputError("The login needs the package Authlib: run `make install`.")
