"""The embedded LLM server, started once."""

from collections.abc import Iterator

import pytest

from tests.services import llm_server


@pytest.fixture(scope="session")
def llm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running embedded LLM server."""
    with llm_server(tmp_path_factory.mktemp("llm")) as url:
        yield url
