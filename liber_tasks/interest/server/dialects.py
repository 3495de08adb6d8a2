"""What kinds of LLM server there are: how each is recognised, counts tokens, and is asked for output by a schema.

All speak OpenAI's chat API; each adds its own around it (docs/llm-servers.md). No I/O of its own: `ask` does it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from liber_tasks.interest.server.answers import SCHEMA

Name = Literal["tgi", "vllm", "sglang", "llamacpp", "openai"]
# (path from the server's root, JSON body to POST or None to GET) -> JSON; None: the server has no such thing.
Ask = Callable[[str, Mapping[str, Any] | None], Awaitable[Any]]

CHAT_TOKENS = 256  # a chat template adds fewer to a prompt, its default system prompt included
WRAPPING_TOKENS = 16  # of the JSON around a text that follows the schema

# huggingface_hub turns type json_schema into {"type": "json_object", "value": ...}, which llama.cpp does not read;
# TGI reads `value`, llama.cpp `schema`.
_JSON_OBJECT = {"response_format": {"type": "json_object", "value": SCHEMA, "schema": SCHEMA}}
# SGLang reads a schema from type json_schema alone, which does not pass through huggingface_hub: the same as a regex.
_REGEX = r'\{"text": "([^"\\\n]|\\["\\/bfnrt])*"\}'


@dataclass(frozen=True)
class Served:
    """What a server says about itself.

    Attributes:
        dialect: the kind of server.
        model: as the server names it.
        context: tokens of prompt and answer together; None: it does not say.
        most_prompt: tokens of the prompt alone; None: no bound of its own.
        version: of the server, where that matters.
    """

    dialect: Name
    model: str
    context: int | None = None
    most_prompt: int | None = None
    version: str = ""

    @property
    def guidance(self) -> dict[str, Any]:
        """Arguments of `chat_completion` that constrain the output to `SCHEMA`; empty: this server offers none."""
        if self.dialect in ("tgi", "llamacpp"):
            return _JSON_OBJECT
        if self.dialect == "vllm":  # renamed in 0.11; unknown fields are ignored, so only one may be right
            field = {"guided_json": SCHEMA} if _older(self.version, 0, 11) else {"structured_outputs": {"json": SCHEMA}}
            return {"extra_body": field}
        if self.dialect == "sglang":
            return {"extra_body": {"regex": _REGEX}}
        return {}

    def over(self, prompt_tokens: int, max_tokens: int) -> int:
        """Tokens that a prompt is too long, with room for an answer of `max_tokens`; 0: it fits."""
        bounds = [0 if self.context is None else prompt_tokens + max_tokens - self.context,
                  0 if self.most_prompt is None else prompt_tokens - self.most_prompt]  # fmt: skip
        return max(0, *bounds)

    def surely_takes(self, prompt: str, max_tokens: int) -> bool:
        """Whether a prompt fits whatever the tokenizer: a token is at least one byte of UTF-8."""
        return self.over(len(prompt.encode()) + CHAT_TOKENS, max_tokens) == 0


async def recognised(ask: Ask, wanted: str, model: str) -> Served:
    """Who serves.

    Args:
        ask: asks the server.
        wanted: a dialect, believed even if the server does not say so; "auto": find out.
        model: name that calls ask for.
    """
    listed = _models(await ask("/v1/models", None))
    mine = next((entry for entry in listed if entry.get("id") == model), listed[0] if len(listed) == 1 else {})
    owner = str(mine.get("owned_by", ""))
    order = sorted(_DETAILS, key=lambda name: name != owner) if wanted == "auto" else [wanted]
    for name in order:
        if name in _DETAILS and (served := await _DETAILS[name](ask, mine)):
            return served
    name = wanted if wanted in get_args(Name) else "openai"
    return Served(name, str(mine.get("id") or model), _number(mine.get("max_model_len")))  # type: ignore[arg-type]


async def counted(ask: Ask, served: Served, model: str, prompt: str) -> int | None:
    """Tokens of a prompt inside the chat template, by the server's own tokenizer; None: it offers none.

    Args:
        ask: asks the server.
        served: who it is.
        model: name that calls ask for.
        prompt: of the user.
    """
    chat = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    if served.dialect == "tgi":
        return _length(_get(await ask("/chat_tokenize", chat), "tokenize_response"))
    if served.dialect == "vllm":
        return _number(_get(await ask("/tokenize", chat), "count"))
    if served.dialect == "sglang":
        count = _number(_get(await ask("/tokenize", chat), "count"))
        if count is None:  # before 0.5.10 it took bare text only
            count = _number(_get(await ask("/tokenize", {"model": model, "prompt": prompt}), "count"))
            return None if count is None else count + CHAT_TOKENS
        return count
    if served.dialect == "llamacpp":
        text = _get(await ask("/apply-template", chat), "prompt")
        if isinstance(text, str):
            body = {"content": text, "add_special": True, "parse_special": True}
            return _length(_get(await ask("/tokenize", body), "tokens"))
    return None


async def _tgi(ask: Ask, _: Mapping[str, Any]) -> Served | None:
    info = await ask("/info", None)
    total = _number(_get(info, "max_total_tokens"))
    if not _get(info, "model_id") or total is None:
        return None
    most = _number(info.get("max_input_tokens", info.get("max_input_length")))  # renamed in 2.0
    return Served("tgi", str(info["model_id"]), total, most, str(info.get("version", "")))


async def _vllm(ask: Ask, mine: Mapping[str, Any]) -> Served | None:
    version = _get(await ask("/version", None), "version")
    context = _number(mine.get("max_model_len"))
    if not isinstance(version, str) or context is None:
        return None
    return Served("vllm", str(mine["id"]), context, version=version)


async def _sglang(ask: Ask, mine: Mapping[str, Any]) -> Served | None:
    info = await ask("/model_info", None) or await ask("/get_model_info", None)  # the older name
    if not _get(info, "model_path") or "is_generation" not in info:
        return None
    context = _number(mine.get("max_model_len"))
    if context is None:
        context = _number(_get(await ask("/get_server_info", None), "context_length"))
    return Served("sglang", str(mine.get("id") or info["model_path"]), context)


async def _llamacpp(ask: Ask, _: Mapping[str, Any]) -> Served | None:
    props = await ask("/props", None)
    defaults = _get(props, "default_generation_settings")
    if not isinstance(defaults, dict):
        return None
    name = PurePosixPath(str(props.get("model_path", "")).replace("\\", "/")).name  # no folders of the server
    return Served("llamacpp", name or str(props.get("model_alias", "")), _number(defaults.get("n_ctx")))


_DETAILS: dict[str, Callable[[Ask, Mapping[str, Any]], Awaitable[Served | None]]] = {
    "tgi": _tgi, "llamacpp": _llamacpp, "sglang": _sglang, "vllm": _vllm,
}  # fmt: skip


def _models(listing: Any) -> list[Mapping[str, Any]]:
    data = _get(listing, "data")
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


def _older(version: str, *than: int) -> bool:
    """Whether a version such as 0.10.2 is older; what cannot be read or was built from source is not."""
    parts = version.removeprefix("v").split(".")[: len(than)]
    return "dev" not in version and all(part.isdigit() for part in parts) and [int(part) for part in parts] < [*than]
