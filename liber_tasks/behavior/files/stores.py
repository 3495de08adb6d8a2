"""Files in object stores and on web servers, through fsspec: found, described, fetched.

Credentials come from where the store's driver takes them (for S3: AWS_ACCESS_KEY_ID, AWS_PROFILE, FSSPEC_S3_KEY ...).
They never reach a message, nor does the part of a URL that may hold some: what stands before an @, and the query.
"""

import errno
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from liber_tasks.errors import InputError, LiberError, ServiceUnavailable

CONNECT_SECONDS, READ_SECONDS = 30, 120  # of web servers: to answer, and between two pieces of a file

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)")
_ON_DISK = re.compile(r"(file|local)://")
_WEB = re.compile(r"https?://")
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]*")
# What drivers call the version of an object; the moment and size alone would miss a quick change.
_VERSION = (
    "size", "ETag", "etag", "e_tag", "Content-MD5", "content_md5", "md5Hash", "Digest", "generation", "VersionId",
    "version_id", "LastModified", "Last-Modified", "last_modified", "updated", "mtime", "created",
)  # fmt: skip

Found = Literal["file", "folder", "pattern"]


def is_remote(path: str) -> bool:
    """Whether a path is a URL of something that is not on this machine's disk."""
    return bool(_URL.match(path)) and not _ON_DISK.match(path)


def local(path: str | Path) -> Path:
    """A path or file:// URL as a path."""
    return Path(_ON_DISK.sub("", path)) if isinstance(path, str) and _ON_DISK.match(path) else Path(path)


def shown(text: str) -> str:
    """A URL, or a text with URLs in it, without what could be a credential."""
    return _QUERY.sub(r"\1", _USER.sub("", text))


def hidden(parts: Sequence[str]) -> bool:
    """Whether a path inside a folder is of a kind that jobs leave behind: _SUCCESS, .part, _temporary/..."""
    return any(part.startswith((".", "_")) for part in parts)


@dataclass(frozen=True)
class Remote:
    """A file in a store."""

    url: str = field(repr=False)  # complete
    path: str = field(repr=False)  # as its driver calls it
    driver: Callable[[], Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The URL without credentials."""
        return shown(self.url)

    def fetch(self, target: Path) -> None:
        """Copy the file to `target`.

        Raises:
            InputError: it is gone, access is refused, or it changed meanwhile.
            ServiceUnavailable: the store cannot be reached or the connection was lost.
            LiberError: the disk is full.
        """
        with reachable(self.url):
            driver = self.driver()
            before = self._stamp(driver)
            size = before.get("size")
            free = shutil.disk_usage(target.parent).free
            if size and size > free:
                raise _no_space(self.name, target.parent, size)
            try:
                driver.get_file(self.path, str(target))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise _no_space(self.name, target.parent, size) from None
                raise
            after = self._stamp(driver)
        fetched = target.stat().st_size
        if after != before:
            raise InputError(f"{self.name}: the file changed while it was read; run again once it is complete.")
        if size is not None and fetched != size:
            raise ServiceUnavailable(
                f"{self.name}: {fetched} of {size} bytes arrived; the connection was lost, run again."
            )

    def _stamp(self, driver: Any) -> dict[str, Any]:
        driver.invalidate_cache()  # a listing kept from before would never show a change
        info = driver.info(self.path)
        return {key: info[key] for key in _VERSION if info.get(key) is not None}


def listed(url: str) -> tuple[list[Remote], Found]:
    """Files meant by a URL: of a file, a folder (searched through, by name) or a pattern.

    A folder on a web server ends with a slash and means the links of that page that lie below it; pages behind
    links are not followed.

    Raises:
        InputError: nothing is there, access is refused, or the driver's package is not installed.
        ServiceUnavailable: the store cannot be reached.
    """
    with reachable(url):
        connect = partial(_driver, url)
        driver, path = connect()
        web = bool(_WEB.match(url))
        remote = partial(_remote, driver, connect, url, web)
        if any(sign in (url.partition("?")[0] if web else path) for sign in ("*?[" if not web else "*")):
            if not web and driver.isfile(path):  # stores allow these signs in names
                return [remote(path)], "file"
            matches = driver.glob(path, detail=True)
            files = sorted(name for name, info in matches.items() if info["type"] == "file")
            if not files:
                raise FileNotFoundError
            return [remote(name) for name in files], "pattern"
        if web and not url.endswith("/"):
            return [Remote(url, path, lambda: connect()[0])], "file"
        if not web and driver.info(path)["type"] == "file":
            return [remote(path)], "file"
        if web:
            below = [info["name"] for info in driver.ls(path, detail=True) if info["name"].startswith(path)]
            files = [name for name in below if not name.endswith("/")]
        else:
            files = [name for name in driver.find(path) if not name.endswith("/")]
        start = len(path.rstrip("/")) + 1
        return [remote(name) for name in sorted(files) if not hidden(name[start:].split("/"))], "folder"


def _driver(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path in it."""
    from fsspec.config import conf
    from fsspec.core import url_to_fs

    options: dict[str, Any] = {}
    protocol = url.partition("://")[0]
    if protocol in ("http", "https") and "client_kwargs" not in conf.get(protocol, {}):
        from aiohttp import ClientTimeout

        # aiohttp would give up on any file after five minutes, and never look at HTTPS_PROXY or .netrc
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
    driver, path = url_to_fs(url, **options)
    return driver, path


def _remote(driver: Any, connect: Callable[[], tuple[Any, str]], url: str, web: bool, path: str) -> Remote:
    return Remote(path if web else driver.unstrip_protocol(path), path, lambda: connect()[0])


def _no_space(name: str, folder: Path, size: int | None) -> LiberError:
    return LiberError(
        f"{name}: its {'' if size is None else f'{size} '}bytes do not fit into {folder}; set TMPDIR to a larger disk."
    )


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Turn what goes wrong between here and a store into one sentence without credentials.

    The causes are cut off: they quote the URL as it was given.
    """
    name = shown(url)
    try:
        yield
    except LiberError:
        raise
    except ImportError as error:
        protocol = url.partition("://")[0]
        raise InputError(f"{name}: {protocol}:// needs a package that is not installed: {error}.") from None
    except Exception as error:
        raise _translated(name, url, error) from None


def _translated(name: str, url: str, error: Exception) -> LiberError:
    chain = list(_causes(error))
    kinds = {kind.__name__ for cause in chain for kind in type(cause).__mro__}
    status = next((code for cause in chain if isinstance(code := getattr(cause, "status", None), int)), 0)
    said = _said(error, url)
    if isinstance(error, ValueError) and "Protocol not known" in str(error):
        return InputError(f"{name}: no driver reads {url.partition('://')[0]}:// URLs; check the URL.")
    if status in (401, 403) or kinds & {"PermissionError", "NoCredentialsError", "PartialCredentialsError",
                                        "ProfileNotFound", "DefaultCredentialsError"}:  # fmt: skip
        return InputError(f"{name}: access is refused ({said}); set the credentials that the store's driver reads.")
    lost = {"ClientConnectionError", "ClientPayloadError", "ConnectionError", "TimeoutError", "HTTPClientError",
            "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "IncompleteRead"}  # fmt: skip
    if status >= 500 or status == 429 or kinds & lost:
        return ServiceUnavailable(f"{name}: the store cannot be reached or broke off ({said}); run again later.")
    if "FileNotFoundError" in kinds:
        return InputError(f"{name}: no such file or folder; check the URL.")
    if "FileExpired" in kinds:
        return InputError(f"{name}: the file changed while it was read; run again once it is complete.")
    if kinds & {"ParamValidationError", "InvalidURL", "InvalidUrlClientError"}:
        return InputError(f"{name}: this is no valid URL ({said}); check it.")
    return ServiceUnavailable(f"{name}: the store's driver failed ({said}); run again.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _said(error: Exception, url: str) -> str:
    """Type and first line of an error, without credentials."""
    text = next(iter(str(error).splitlines()), "")
    for secret in (*_USER.findall(url), *(url.partition("?")[2],)):
        for part in (secret, *secret.rstrip("@").split(":")):
            if part:
                text = text.replace(part, "...")
    return f"{type(error).__name__}: {shown(text)[:200]}".removesuffix(": ").rstrip(".")
