"""Commands of training and scoring: `liber train`, `score`."""

from enum import StrEnum
from typing import Annotated

import typer

from liber_tasks import db
from liber_tasks.cli_output import line_progress, moment, show
from liber_tasks.config import VAR, settings

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class Memory(StrEnum):
    """Whether the model gets the long-term memory."""

    liber = "liber"
    none = "none"


def train(
    backbone: Annotated[str | None, typer.Option(help="Default: LIBER_BACKBONE.")] = None,
    memory: Annotated[list[Memory] | None, typer.Option(help="Variant; repeat for more. Default: both.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="What the model with memory reads; repeat. Default: LIBER_MODEL_OPTIONS.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Paired seeds. Default: LIBER_SEEDS.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default, as of those below: the backbone's.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Share dropped in the MLP.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples of a step.")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="It stops earlier when validation gets worse.")] = None,
    bundle: Annotated[bool, typer.Option("--bundle", help="The model carries the features of all users.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train without and with memory, evaluate, register the model with memory in MLflow as challenger.

    Killed, it goes on where it was. In several processes: torchrun --nproc-per-node 2 --no-python liber train
    """
    from liber_tasks import training_jobs
    from liber_tasks.training import processes
    from liber_tasks.training.plan import chosen

    given = {"learning_rate": learning_rate, "dropout": dropout, "batch_size": batch_size, "max_epochs": max_epochs}
    own = {name: value for name, value in (("backbone", backbone), ("seeds", seeds)) if value is not None}
    with processes.group():
        report = training_jobs.train(
            settings().model_copy(update=own),
            memory=chosen(memory or list(Memory)),
            options=option,
            changes={name: value for name, value in given.items() if value is not None},
            bundle=bundle,
            checkpoints=settings().checkpoints or VAR / "checkpoints",
            progress=line_progress(),
        )
        if processes.first():
            show(report, as_json)


def score(
    user: Annotated[str, typer.Argument(help="User id.")],
    items: Annotated[list[str], typer.Argument(help="Candidate item ids.")],
    at: Annotated[str | None, typer.Option(help="ISO 8601 with zone. Default: all the user's past.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score candidates for a user with the registered champion model."""
    from liber_tasks.serving.score import score as score_items

    until = moment("--at", at) if at else None
    scores = score_items(db.connect(settings()), settings(), user, items, at=until)
    show({"user_id": user, "scores": scores}, as_json)
