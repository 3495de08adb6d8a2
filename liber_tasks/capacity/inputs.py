"""What a capacity plan is made from: a platform's size, its tokens, its machines and prices. One default each, here."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from liber_tasks.errors import InputError

Count = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Inputs(BaseModel):
    """Every assumption of a plan. Where a default was measured, its description names the command; others are guesses
    to be replaced, and say so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The platform
    users: Count = Field(1_000_000, description="users known")
    active_share: Share = Field(0.3, description="of the users on a day; a guess")
    events_per_user: Count = Field(20, description="behaviours a day of an active user; a guess")
    partition_k: int = Field(20, ge=1, description="behaviours of a partition; the paper's (4.1.3)")
    spread: Positive = Field(
        1.0, description="shape of the gamma law of users' activity: 1 exponential, more is more equal; MovieLens-100K "
        "has 1.1 (mean and variance of ratings a user)",
    )  # fmt: skip
    items: Count = Field(100_000, description="items of the catalogue; a guess")
    new_items: Count = Field(500, description="items a day that are new or changed; a guess")
    arrival: Literal["files", "batches"] = Field(
        "batches", description="files: a million behaviours at once; batches: hundreds, as `liber consume` has them"
    )

    # Tokens of a call, as the embedded server counted those of 2,195 texts about MovieLens-100K (tests/texts, K = 20);
    # `--measured` takes yours
    summary_tokens_in: Count = Field(408, description="of a summary's prompt; counted, tests/texts")
    summary_tokens_out: Count = Field(30, description="of a summary; counted, tests/texts")
    shift_tokens_in: Count = Field(158, description="of a shift's prompt; counted, tests/texts")
    shift_tokens_out: Count = Field(27, description="of a shift; counted, tests/texts")
    item_tokens_in: Count = Field(180, description="of an item's prompt; a guess")
    item_tokens_out: Count = Field(200, description="of an item's description; LIBER_ITEM_MAX_TOKENS")
    cached_share: Share = Field(0.0, description="of prompt tokens found in the server's prefix cache; 0: the worst")

    # LLM servers: a guess for a model of 7 to 8 billion parameters; `liber efficiency` measures yours
    prompt_rate: Positive = Field(10_000, description="prompt tokens a second of a GPU; a guess, not measured here")
    output_rate: Positive = Field(2_000, description="answer tokens a second of a GPU; a guess, not measured here")
    utilisation: Annotated[float, Field(gt=0, le=1)] = Field(0.7, description="of GPUs and cores, at most; a guess")
    peak: Annotated[float, Field(ge=1)] = Field(2.5, description="busiest hour over the mean hour; a guess")

    # Serving and training
    requests_per_second: Count = Field(100, description="requests to the model at the peak; a guess")
    serving_kept_users: Count = Field(10_000, description="of a process; LIBER_SERVING_CACHE_USERS")
    training_share: Share = Field(1.0, description="of behaviours of the window that are samples")
    training_days: Count = Field(30, description="of behaviours that a training run reads; a guess")
    training_runs: Count = Field(3, description="fits of a training run: seeds; LIBER_SEEDS")
    training_epochs: Count = Field(3, description="of a fit; a guess")

    # Retention and backups
    vector_dimension: int = Field(64, ge=2, description="of r_j; LIBER_ENCODER_DIMENSION")
    nearest_index: bool = Field(True, description="whether vectors have an HNSW index")
    text_days: Count | None = Field(None, description="days texts of partitions are kept; empty: for good")
    full_backups: Count = Field(2, description="base backups kept")
    wal_days: Count = Field(7, description="days of WAL kept for a restore to a moment")

    # Prices: guesses; a list price of your cloud replaces each
    gpu_hour: Count = Field(2.5, description="price of a GPU hour; a guess")
    core_hour: Count = Field(0.04, description="price of a CPU core hour; a guess")
    gb_month: Count = Field(0.1, description="price of a GB of database disk a month; a guess")
    backup_gb_month: Count = Field(0.02, description="price of a GB of backups a month; a guess")

    @classmethod
    def of(cls, values: Mapping[str, Any], what: str) -> "Inputs":
        """Checked inputs.

        Args:
            values: by name; what is left out has its default.
            what: begins the message, such as a file's name; "" for options, which name themselves.

        Raises:
            InputError: a name is unknown, or a value is out of range; names it.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            shown = f"{what}: {name}" if what else f"--{name.replace('_', '-')}"
            if first["type"] == "extra_forbidden":
                near = get_close_matches(name, cls.model_fields, 1)
                hint = f", did you mean {near[0]}?" if near else "; `liber plan --assumptions` lists them."
                raise InputError(f"{shown}: there is no such assumption{hint}") from None
            message = first["msg"][:1].lower() + first["msg"][1:]
            raise InputError(f"{shown} is {first['input']!r}: {message}.") from None
