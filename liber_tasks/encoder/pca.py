"""The frozen PCA that shortens BERT's vectors (paper, section 3.4.1)."""

import hashlib
import io
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.decomposition import PCA


@dataclass(frozen=True)
class Projection:
    """A fitted PCA.

    Attributes:
        mean: float32 (d_in,).
        components: float32 (d, d_in); rows beyond the rank of the texts it was fitted on are zero.
        explained_variance: share of variance that the components keep, 0 to 1.
        fitted_on: knowledge version of the texts it was fitted on; None if nobody noted it.
    """

    mean: np.ndarray
    components: np.ndarray
    explained_variance: float
    fitted_on: str | None = None

    @classmethod
    def fit(cls, embeddings: np.ndarray, dimension: int, fitted_on: str | None = None) -> Self:
        """Fit on (n, d_in) embeddings, n >= 2. Deterministic: full SVD with fixed signs."""
        rank = min(dimension, len(embeddings) - 1, embeddings.shape[1])
        fitted = PCA(n_components=rank, svd_solver="full").fit(embeddings.astype(np.float64))
        components = np.zeros((dimension, embeddings.shape[1]), dtype=np.float32)
        components[:rank] = fitted.components_
        kept = float(np.nan_to_num(fitted.explained_variance_ratio_.sum()))
        return cls(fitted.mean_.astype(np.float32), components, kept, fitted_on)

    def transform(self, embeddings: np.ndarray) -> np.ndarray:
        """float32 (n, d_in) -> float32 (n, d)."""
        return ((embeddings - self.mean) @ self.components.T).astype(np.float32)

    def to_bytes(self) -> bytes:
        """npz without pickle."""
        buffer = io.BytesIO()
        named = {} if self.fitted_on is None else {"fitted_on": np.array(self.fitted_on)}
        np.savez(buffer, mean=self.mean, components=self.components, **named)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes, explained_variance: float) -> Self:
        """Read what `to_bytes` wrote."""
        arrays = np.load(io.BytesIO(stored), allow_pickle=False)
        fitted_on = str(arrays["fitted_on"]) if "fitted_on" in arrays else None
        return cls(arrays["mean"], arrays["components"], explained_variance, fitted_on)

    @property
    def sha256(self) -> str:
        """Digest of the numbers, whatever they were fitted on."""
        return hashlib.sha256(self.mean.tobytes() + self.components.tobytes()).hexdigest()
