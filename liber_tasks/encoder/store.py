"""From texts to r_j in pgvector (paper, Eq. 4): only what is new, with a frozen encoder, each batch committed."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from liber_tasks import logs
from liber_tasks.binary_copy import copy_columns, write_columns
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.encoder.registered import try_register
from liber_tasks.encoder.registry import register
from liber_tasks.errors import InputError, LiberError
from liber_tasks.types import Progress, silent

if TYPE_CHECKING:
    from liber_tasks.encoder.knowledge import KnowledgeEncoder
    from liber_tasks.encoder.pca import Projection

_log = logging.getLogger("liber.encode")
BATCH = 512  # partitions committed together


@dataclass(frozen=True)
class EncodeReport:
    """What one call did.

    Attributes:
        encoder_version: of the vectors; None when nothing was ever encoded.
        knowledge_version: of the texts; None when there is no text.
        encoded: partitions that gained a vector now.
        fitted_texts: texts the PCA was fitted on, when it was frozen.
        explained_variance: share of the texts' variance the PCA keeps.
        seconds: wall time.
    """

    encoder_version: str | None
    knowledge_version: str | None
    encoded: int
    fitted_texts: int
    explained_variance: float
    seconds: float


@dataclass(frozen=True)
class FrozenEncoder:
    """A row of liber.encoder."""

    version: str
    projection: "Projection"
    fitted_texts: int


def encode(
    engine: Engine,
    settings: Settings,
    *,
    fit_before: datetime | Callable[[], datetime | None] | None = None,
    refit: bool = False,
    progress: Progress = silent,
) -> EncodeReport:
    """Encode the partitions whose texts are complete and that have no vector yet.

    r_j is the PCA of the summary followed by the PCA of the shift, each half as long; P_1 has no shift and zeros there.
    The PCA is fitted once, on texts of partitions sealed strictly before `fit_before`; where there are fewer than two,
    on all texts there are, and the encoder's `fitted_before` says so by being null. Later calls reuse it.

    Each `BATCH` of partitions is committed, so a stopped run keeps what it has done and the next one goes on. Where
    MLFLOW_TRACKING_URI is set, the frozen encoder is put into MLflow at the end; without an answer from there the
    vectors stand all the same, and the next call tries again.

    Args:
        engine: LIBER database.
        settings: `encoder`, `encoder_dimension`, `knowledge_version` (None: the one written last),
            `mlflow_tracking_uri`.
        fit_before: end of the training period, or what looks it up; called only where a PCA is to be fitted.
        refit: fit a new PCA, so a new encoder version; every partition is encoded anew beside the old vectors.
        progress: told about encoded texts.

    Raises:
        InputError: the dimension is odd, the encoder cannot be loaded, or no text is of that knowledge version.
        LiberError: fewer than two texts exist, so no PCA can be fitted.
    """
    begun = time.monotonic()
    if settings.encoder_dimension % 2:
        raise InputError(
            f"LIBER_ENCODER_DIMENSION is {settings.encoder_dimension}: make it even, a half for each text."
        )
    with database_errors(), logs.stage("encode", knowledge_version=settings.knowledge_version):
        with engine.connect() as connection:
            texts = {row.knowledge_version: row.texts for row in connection.execute(query("encoder/texts"))}
        learnt = [version for version, n in texts.items() if n]
        knowledge_version = settings.knowledge_version or next(iter(learnt), "")
        if not learnt or texts.get(knowledge_version) == 0:
            return EncodeReport(None, None, 0, 0, 0.0, time.monotonic() - begun)
        if knowledge_version not in learnt:
            raise InputError(
                f"No text is of knowledge version {knowledge_version}: run `liber learn`, or set "
                f"LIBER_KNOWLEDGE_VERSION to one of {', '.join(learnt)}."
            )
        identity = _identity(settings)
        frozen = None if refit else _current(engine, identity)
        bert: KnowledgeEncoder | None = None
        if frozen is None:
            bert = _load(settings)
            cut = fit_before() if callable(fit_before) else fit_before
            frozen = _freeze(engine, identity, bert, knowledge_version, cut)
        versions = {"encoder_version": frozen.version, "knowledge_version": knowledge_version}
        with engine.connect() as connection:
            pending = connection.execute(query("encoder/pending"), versions).mappings().all()
        encoded = 0
        for start in range(0, len(pending), BATCH):
            batch = pending[start : start + BATCH]
            bert = bert or _load(settings)
            vectors = _vectors(bert, frozen.projection, batch, progress)
            encoded += _store(engine, versions, batch, vectors)
            ends = {f"{end}_{name}": batch[at][name] for end, at in (("first", 0), ("last", -1)) for name in
                    ("user_key", "partition_no")}  # fmt: skip
            with logs.bound(encoder_version=frozen.version, **ends):
                _log.info("%d partitions", len(batch))
    try_register(register, engine, settings, frozen.version)
    return EncodeReport(
        frozen.version, knowledge_version, encoded, frozen.fitted_texts, frozen.projection.explained_variance,
        time.monotonic() - begun,
    )  # fmt: skip


def current_encoder(engine: Engine, settings: Settings) -> str | None:
    """Version of the frozen encoder that these settings select; None before the first `encode`."""
    frozen = _current(engine, _identity(settings))
    return frozen.version if frozen else None


def vectors(
    engine: Engine, encoder_version: str, knowledge_version: str, dimension: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All vectors of one encoder and knowledge version, ordered by user and partition.

    Returns:
        user_key int64 (n,), partition_no int32 (n,), vectors float32 (n, dimension).
    """
    with engine.connect() as connection:
        columns = copy_columns(
            connection, "encoder/copy_vectors",
            {"user_key": ">i8", "partition_no": ">i4", "vector": f"vector{dimension}"},
            {"encoder_version": encoder_version, "knowledge_version": knowledge_version},
        )  # fmt: skip
    return columns["user_key"], columns["partition_no"], columns["vector"]


def _load(settings: Settings) -> "KnowledgeEncoder":
    from liber_tasks.encoder.knowledge import KnowledgeEncoder

    return KnowledgeEncoder(settings.encoder)


def _identity(settings: Settings) -> dict[str, Any]:
    from liber_tasks.encoder.knowledge import POOLING, dtype_name, model_identity

    return {
        "model": model_identity(settings.encoder),
        "dtype": dtype_name(),
        "pooling": POOLING,
        "dimension": settings.encoder_dimension,
    }


def _current(engine: Engine, identity: dict[str, Any]) -> FrozenEncoder | None:
    from liber_tasks.encoder.pca import Projection

    with engine.connect() as connection:
        row = connection.execute(query("encoder/current"), identity).one_or_none()
    if row is None:
        return None
    projection = Projection.from_bytes(bytes(row.pca), row.explained_variance)
    return FrozenEncoder(row.encoder_version, projection, row.fitted_texts)


def _freeze(
    engine: Engine, identity: dict[str, Any], bert: "KnowledgeEncoder", knowledge_version: str, cut: datetime | None
) -> FrozenEncoder:
    """Fit the PCA and register the encoder."""
    from liber_tasks.encoder.pca import Projection

    with engine.connect() as connection:
        for bound in dict.fromkeys((cut, None)):
            parameters = {"knowledge_version": knowledge_version, "cut": bound}
            texts = connection.execute(query("encoder/training_texts"), parameters).scalars().all()
            if len(texts) >= 2:
                break
        else:
            raise LiberError("Fewer than two texts exist: run `liber learn` for more users before `liber encode`.")
    projection = Projection.fit(bert.embed(texts), identity["dimension"] // 2, knowledge_version)
    parts = (*identity.values(), projection.sha256)
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:10]
    name = identity["model"].split("#")[0]
    version = f"{name}-{identity['dtype']}-{identity['pooling']}-{identity['dimension']}-{digest}"
    row = identity | {
        "encoder_version": version, "pca_sha256": projection.sha256, "pca": projection.to_bytes(),
        "fitted_texts": len(texts), "fitted_before": bound, "explained_variance": projection.explained_variance,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(query("encoder/register"), row)
    return FrozenEncoder(version, projection, len(texts))


def _vectors(bert: "KnowledgeEncoder", projection: "Projection", batch: Any, progress: Progress) -> np.ndarray:
    """float32 (len(batch), d): summary half and shift half."""
    shifts = [row["shift"] for row in batch if row["shift"] is not None]
    halves = projection.transform(bert.embed([row["summary"] for row in batch] + shifts, progress))
    has_shift = np.array([row["shift"] is not None for row in batch])
    second = np.zeros_like(halves[: len(batch)])
    second[has_shift] = halves[len(batch) :]
    return np.concatenate([halves[: len(batch)], second], axis=1)


def _store(engine: Engine, versions: dict[str, str], batch: Any, vectors: np.ndarray) -> int:
    fields = {"user_key": ">i8", "partition_no": ">i4", "vector": f"vector{vectors.shape[1]}"}
    columns = {
        "user_key": np.array([row["user_key"] for row in batch]),
        "partition_no": np.array([row["partition_no"] for row in batch]),
        "vector": vectors,
    }
    with engine.begin() as connection:
        connection.execute(query("encoder/stage"))
        write_columns(connection, "encoder/copy_stage", fields, columns)
        return connection.execute(query("encoder/upsert"), versions).rowcount
