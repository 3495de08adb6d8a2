"""Servers that cannot be installed here, as seen from outside: TGI, vLLM and SGLang, in the shapes they answer with.

A token is a word; the chat template adds `TEMPLATE` of them. Each keeps to its own rules: a request that the real one
would refuse is refused, and output follows the schema only where the real one would have followed it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.interest.faults import ABSENT, Reply, Seen, completion, faulty

TEMPLATE = 5
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
TEXT = "Likes dramas and thrillers."


def tokens(messages: list[dict[str, Any]]) -> int:
    """Of a prompt inside its template."""
    return TEMPLATE + sum(len(message["content"].split()) for message in messages)


@contextmanager
def tgi(*, context: int = 200, prompt: int = 150, model: str = MODEL, port: int = 0) -> Iterator[Seen]:
    """text-generation-inference 3: /info, /chat_tokenize, response_format as a grammar."""
    info = {
        "model_id": model, "model_sha": "abc", "model_pipeline_tag": "text-generation", "max_concurrent_requests": 128,
        "max_best_of": 2, "max_stop_sequences": 4, "max_input_tokens": prompt, "max_total_tokens": context,
        "validation_workers": 2, "max_client_batch_size": 4, "router": "text-generation-router", "version": "3.3.4",
        "sha": "abc", "docker_label": "sha-abc",
    }  # fmt: skip

    def other(path: str, body: dict[str, Any] | None) -> Reply:
        if path == "/info":
            return _json(info)
        if path == "/v1/models":  # its owner is the model
            return _json({"object": "list", "data": [_entry(model, owner=model)]})
        if path == "/chat_tokenize" and body is not None:
            token = {"id": 1, "text": "x", "start": 0, "stop": 1}
            return _json({"tokenize_response": [token] * tokens(body["messages"]), "templated_text": "x"})
        return ABSENT

    def text(body: dict[str, Any]) -> str:
        asked = body.get("response_format") or {}
        return _written(asked.get("type") in ("json", "json_object") and "properties" in (asked.get("value") or {}))

    with _serving(text, other, port) as seen:
        yield seen


@contextmanager
def vllm(*, version: str = "0.19.1", context: int = 200, model: str = MODEL, port: int = 0) -> Iterator[Seen]:
    """vLLM: /version, /v1/models with max_model_len, /tokenize of messages; unknown fields are ignored."""

    def other(path: str, body: dict[str, Any] | None) -> Reply:
        if path == "/version":
            return _json({"version": version})
        if path == "/v1/models":
            return _json({"object": "list", "data": [_entry(model, owner="vllm", context=context)]})
        if path == "/tokenize" and body is not None:
            count = tokens(body["messages"])
            return _json({"count": count, "max_model_len": context, "tokens": [1] * count, "token_strs": None})
        return ABSENT

    def text(body: dict[str, Any]) -> str:
        if tuple(int(part) for part in version.split(".")[:2]) < (0, 11):
            return _written("properties" in (body.get("guided_json") or {}))
        return _written("properties" in ((body.get("structured_outputs") or {}).get("json") or {}))

    with _serving(text, other, port) as seen:
        yield seen


@contextmanager
def sglang(*, old: bool = False, context: int = 200, model: str = MODEL, port: int = 0) -> Iterator[Seen]:
    """SGLang: /model_info (older: /get_model_info), /tokenize of messages (older: of text only), regex."""

    def other(path: str, body: dict[str, Any] | None) -> Reply:
        if path == ("/get_model_info" if old else "/model_info"):
            return _json({"model_path": model, "tokenizer_path": model, "is_generation": True})
        if path == "/v1/models":
            return _json({"object": "list", "data": [_entry(model, owner="sglang", context=context)]})
        if path == "/tokenize" and body is not None:
            if old and "prompt" not in body:
                return _json({"object": "error", "message": "prompt: Field required", "code": 400}, 400)
            count = len(body["prompt"].split()) if old else tokens(body["messages"])
            return _json({"tokens": [1] * count, "count": count, "max_model_len": context})
        return ABSENT

    def text(body: dict[str, Any]) -> str:
        regex = body.get("regex")
        return _written(bool(regex) and bool(re.fullmatch(regex, json.dumps({"text": TEXT}))))

    with _serving(text, other, port) as seen:
        yield seen


@contextmanager
def _serving(text: Any, other: Any, port: int) -> Iterator[Seen]:
    with faulty(lambda *_: Reply(body=lambda body: completion(text(body))), port, other=other) as seen:
        yield seen


def _written(guided: bool) -> str:
    return json.dumps({"text": TEXT}) if guided else TEXT


def _entry(model: str, *, owner: str, context: int | None = None) -> dict[str, Any]:
    entry = {"id": model, "object": "model", "created": 1, "owned_by": owner}
    return entry if context is None else {**entry, "root": model, "max_model_len": context}


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value))
