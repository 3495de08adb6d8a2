"""Settings: the one place where the environment is read.

Sources, strongest first: environment variables, `.env`, `var/local.env` (written by the local stack).
Every name starts with `LIBER_`, except `MLFLOW_TRACKING_URI`, which MLflow itself defines.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from liber_tasks.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
VAR = Path(os.environ.get("LIBER_VAR", ROOT / "var"))  # everything the local stack writes
LOCAL_ENV = VAR / "local.env"


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Read a duration: a number and s, m, h or d, such as 30m.

    Raises:
        ValueError: the text is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})  # type: ignore[index]
    except (TypeError, OverflowError):
        raise ValueError("write a number and s, m, h or d, such as 90s, 30m, 12h, 7d") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(lambda value: duration(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: f"{value.total_seconds():f}s", return_type=str),  # as it is read, for other processes
]


# Addresses that are no secrets, and where a login belongs instead.
LOGINS = {
    "mlflow_tracking_uri": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "llm_url": "LIBER_LLM_TOKEN",
}


class Settings(BaseSettings):
    """Everything a stage may ask for. Durations are seconds, sizes are counts, unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="LIBER_",
        env_file=(LOCAL_ENV, ROOT / ".env"),
        env_ignore_empty=False,
        env_parse_none_str="",
        extra="ignore",
        populate_by_name=True,
    )

    # Services
    database_url: SecretStr | None = Field(None, description="PostgreSQL >= 15 with pgvector, postgresql://...")
    reader_database_url: SecretStr | None = Field(None, description="the same database with a read-only role")
    admin_database_url: SecretStr | None = Field(
        None, description="of an administrator of the server, for `python -m liber_tasks.deploy` alone"
    )
    airflow_admin_password: SecretStr | None = Field(
        None, description="likewise: of the user `admin` it creates in Airflow; empty: none"
    )
    llm_url: str | None = Field(None, description="TGI, vLLM, SGLang or llama.cpp server; commas between several")
    llm_model: str = Field("local", description="model name sent to the LLM server and kept in every call key")
    llm_token: SecretStr | None = Field(None, description="bearer token of the LLM server")
    llm_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the LLM server's key")
    llm_dialect: Literal["auto", "tgi", "vllm", "sglang", "llamacpp", "openai"] = Field(
        "auto", description="what the LLM server is; auto: ask it"
    )
    mlflow_tracking_uri: str | None = Field(
        None, validation_alias="MLFLOW_TRACKING_URI", description="MLflow tracking server and registry"
    )

    # Ingest (behaviour stream)
    movielens: str | None = Field(None, description="GroupLens' ml-100k.zip or folder; empty: the copy on PyPI")
    max_rejected_share: float = Field(0.01, ge=0, le=1, description="a file with more bad rows is refused whole")
    max_future: float = Field(86_400, ge=0, description="seconds an event may lie ahead of the ingest clock")

    # Partition (paper, Eq. 1)
    partition_k: int | None = Field(20, ge=1, description="a cache of this many behaviours is full; empty: no bound")
    partition_gap: Duration | None = Field(None, description="inactivity that ends a partition: 90s, 30m, 12h, 7d")
    partition_max_age: Duration | None = Field(None, description="a partition spans no longer than this")
    partition_min_events: int = Field(1, ge=1, description="gap and age wait for this many behaviours")
    partition_model: Literal["requested", "drift"] | None = Field(
        None, description="cut points that models request count too; drift: our own model requests some"
    )

    # Interest learning (paper, section 3.3)
    domain: str = Field(
        "movies", description="domain pack, wording and what is liked: movies, books, music, or the path of a TOML file"
    )
    summary_prompt: str | None = Field(None, description="prompts:/NAME/VERSION or @ALIAS in MLflow; empty: installed")
    shift_prompt: str | None = Field(None, description="likewise")
    item_prompt: str | None = Field(None, description="likewise")
    history_style: Literal["grounded", "titles", "described"] = Field(
        "grounded",
        description="titles: items and responses, as in the paper; grounded: with facts computed from them; described: "
        "also with what the LLM said about the items",
    )
    learn_variant: Literal["full", "no_shift", "no_partition"] = Field(
        "full", description="no_partition: the newest `learn_length` behaviours in place of the partition"
    )
    learn_length: int = Field(100, ge=1, description="behaviours a prompt of variant no_partition shows")
    llm_guided: bool = Field(True, description="ask for output by a JSON schema where the server offers it")
    summary_max_tokens: int = Field(40, ge=1, description="of an interest summary")
    shift_max_tokens: int = Field(32, ge=1, description="of an interest shift")
    item_max_tokens: int = Field(200, ge=1, description="of what the LLM says about an item")
    knowledge_version: str | None = Field(
        None, description="whose texts are encoded and trained on; empty: the version these settings make"
    )
    item_knowledge_version: str | None = Field(
        None,
        description="of the texts about items; empty: those that these settings learn, those with the most are "
        "encoded; none: attributes alone are encoded",
    )
    learn_order: Literal["newest", "active"] = Field("newest", description="who comes first: latest or most partitions")
    learn_max_users: int | None = Field(
        10, ge=0, description="users learnt in all, in `learn_order`; empty: every user"
    )
    learn_max_items: int | None = Field(
        20, ge=0, description="items described in all, the most popular first; empty: every item"
    )
    learn_max_calls: int | None = Field(None, ge=0, description="LLM calls in one run; empty: no bound")
    learn_max_tokens: int | None = Field(None, ge=0, description="prompt and answer tokens in one run; empty: no bound")
    learn_max_time: Duration | None = Field(None, description="begin no call after 90s, 30m, 12h of a run")
    learn_shards: int = Field(1, ge=1, description="mapped tasks a DAG run's users are spread over")
    llm_in_flight: int = Field(8, ge=1, description="LLM calls in flight at most; a DAG run's tasks share them")
    llm_timeout: float = Field(120, gt=0, description="seconds one LLM call may take")
    llm_patience: float = Field(60, ge=0, description="seconds to wait for an LLM server that refuses connections")
    trace_share: float = Field(0, ge=0, le=1, description="share of LLM calls kept as MLflow traces, prompts included")

    # Retention: what is older is removed by `liber retain` and the DAG retain_texts; empty: it is kept
    retain_texts: Duration | None = Field(None, description="texts about partitions, by when these were sealed: 365d")
    retain_policy: Literal["texts", "all"] = Field("texts", description="all: vectors made of the texts go with them")
    retain_rejected: Duration | None = Field(None, description="raw text of rejected rows; line and reason stay")
    retain_calls: Duration | None = Field(None, description="closed rows of the ledger of LLM calls")

    # Encoder (paper, section 3.4.1)
    encoder: str = Field("minilm", description="'minilm' (packaged weights), a model name, or a folder")
    encoder_dimension: int = Field(64, ge=1, description="length of r_j after PCA")

    # Training (paper, section 4.1.3)
    backbone: str = Field("din", description="CTR backbone: one of ours by name, or package.module:Class")
    train_share: float = Field(0.9, gt=0, lt=1, description="earliest share of behaviours that trains; the rest tests")
    seeds: int = Field(3, ge=1, description="paired seeds a comparison is repeated with")
    model_options: str = Field(
        "pooled", description="what the model with memory reads: names of fusion.options, commas between several"
    )
    checkpoints: Path | None = Field(
        None, description="folder for the state of unfinished training; empty: var/checkpoints, in Airflow's tasks none"
    )
    search_tasks: int = Field(2, ge=1, description="candidates of a grid that a DAG run trains at once")
    model_name: str = Field("liber-ctr", description="registered model in MLflow")

    # Observability
    log: Literal["text", "json"] = Field(
        "text", description="json: one JSON object a line on stderr, with run and shard"
    )
    status_interval: float = Field(60, ge=1, description="seconds between two counts of what is done and what waits")
    freshness_target: Duration = Field(timedelta(hours=24), description="a sealed partition has its vector within this")
    llm_price_in: float | None = Field(
        None, ge=0, description="price of a million prompt tokens; empty: no cost is shown"
    )
    llm_price_out: float | None = Field(None, ge=0, description="likewise, of answer tokens")
    llm_currency: str = Field("USD", description="of these prices")
    metrics_address: str = Field("127.0.0.1", description="interface `liber metrics` listens on")
    metrics_port: int = Field(9477, ge=0, le=65535, description="where `liber metrics` listens; 0: any that is free")
    metrics_cert: Path | None = Field(None, description="PEM file: the endpoint speaks TLS")
    metrics_key: Path | None = Field(None, description="PEM file with its key")
    metrics_client_ca: Path | None = Field(None, description="PEM file: clients need a certificate of this authority")
    metrics_open: bool = Field(False, description="other machines may read without one")
    # Airflow's tasks
    task_retries: int = Field(4, ge=0, description="tries after a failure that may pass: 10 s later, then twice that")
    deadline: Duration | None = Field(None, description="a DAG run that takes longer raises an alert; empty: none does")
    alert_url: SecretStr | None = Field(None, description="webhook that alerts are posted to; empty: the log only")

    # Dashboard
    dashboard_address: str = Field("127.0.0.1", description="interface it listens on; the default: this machine's only")
    dashboard_auth: Path | None = Field(None, description="TOML file with the OpenID Connect provider that lets in")
    dashboard_open: bool = Field(False, description="other machines may read without a login")

    # Local stack: ports on 127.0.0.1
    port_postgres: int = Field(15432, ge=1, le=65535, description="embedded PostgreSQL")
    port_llm: int = Field(18080, ge=1, le=65535, description="first embedded LLM server")
    port_llm_2: int = Field(18081, ge=1, le=65535, description="second embedded LLM server")
    port_mlflow: int = Field(15000, ge=1, le=65535, description="MLflow")
    port_airflow: int = Field(18088, ge=1, le=65535, description="Airflow's API and pages")
    port_dashboard: int = Field(18501, ge=1, le=65535, description="dashboard")
    backups: Path | None = Field(
        None, description="folder of the local stack's backups and write-ahead log, best on another disk; empty: none"
    )
    backups_keep: int = Field(7, ge=1, description="newest backups that are kept; older ones go with each new one")
    local_gguf: Path | None = Field(None, description="model file of the embedded LLM server; empty: SmolLM2-135M")

    def require(self, name: str) -> str:
        """Value of a setting that must be there.

        Raises:
            InputError: the setting is empty, or an address that errors and logs repeat holds a login; names the
                variable to set.
        """
        value = getattr(self, name)
        variable = "MLFLOW_TRACKING_URI" if name == "mlflow_tracking_uri" else f"LIBER_{name.upper()}"
        if name in LOGINS and re.search(r"https?://[^/,]*@", value or ""):
            raise InputError(f"{variable} holds a login, which errors would repeat: give it in {LOGINS[name]}.")
        if value is None:
            raise InputError(
                f"{variable} is not set: set it in the environment or .env, or run `make up` for a local one."
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@lru_cache
def settings() -> Settings:
    """Settings of this process.

    Raises:
        InputError: a variable has a value of the wrong type or out of range; names it.
    """
    return load()


def load(*, local: bool = True, **overrides: object) -> Settings:
    """Fresh settings, `overrides` strongest (field names); `local=False` leaves the local stack's file out.

    Raises:
        InputError: like `settings`.
    """
    files = (LOCAL_ENV, ROOT / ".env") if local else (ROOT / ".env",)
    try:
        return Settings(_env_file=files, **overrides)  # type: ignore[arg-type, call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        variable = field if field.isupper() else f"LIBER_{field.upper()}"
        raise InputError(f"{variable} is {first['input']!r}: {first['msg'].lower()}.") from None


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables set for a while, put back afterwards: for clients that ask the environment and nobody else."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
