"""Several servers behind one client."""

import httpx2
import pytest
from huggingface_hub import AsyncInferenceClient

from liber_tasks.errors import InputError
from liber_tasks.interest.replicas import Replicas


def replicas(urls: str = "http://127.0.0.1:1,http://127.0.0.1:2") -> Replicas:
    return Replicas(urls, lambda url: AsyncInferenceClient(base_url=url, api_key="none"))


def test_calls_spread_over_the_servers_evenly() -> None:
    both = replicas()
    with both.pick() as first, both.pick() as second, both.pick() as third:
        assert first is not second
        assert third in (first, second)


def test_a_server_that_refuses_connections_rests_while_another_answers() -> None:
    both = replicas()
    with pytest.raises(httpx2.ConnectError), both.pick() as dead:
        raise httpx2.ConnectError("refused")
    for _ in range(3):
        with both.pick() as alive:
            assert alive is not dead


def test_when_all_rest_they_are_asked_all_the_same() -> None:
    one = replicas("http://127.0.0.1:1")
    with pytest.raises(httpx2.ConnectError), one.pick() as dead:
        raise httpx2.ConnectError("refused")
    with one.pick() as again:
        assert again is dead


def test_an_address_that_is_none_names_the_setting() -> None:
    with pytest.raises(InputError, match="LIBER_LLM_URL"):
        replicas("http://127.0.0.1:1,127.0.0.1:2")
