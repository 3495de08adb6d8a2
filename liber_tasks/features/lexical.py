"""Words of texts as vectors: TF-IDF of words and pairs of words, and its truncated SVD (latent semantic analysis,
Deerwester et al., 1990). A small BERT blurs the names that matter, of people and related titles; words keep them.

scikit-learn is imported where it is used: a served model reads vectors that were made before.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

TERMS = 20_000  # the most frequent words and pairs
IN_TEXTS = 2  # a term of fewer texts compares nothing
DIMENSION = 256
_SEED = 0  # of the randomised SVD


@dataclass(frozen=True)
class Lexical:
    """A fitted weighting of t terms, and its first d singular directions.

    Attributes:
        terms: words and pairs of words, lower case.
        idf: (t,) float64, inverse document frequencies.
        components: (d, t) float32.
    """

    terms: tuple[str, ...]
    idf: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str], dimension: int = DIMENSION) -> "Lexical":
        """Fit on texts; equal texts in equal order give equal bytes.

        Args:
            texts: at least `IN_TEXTS`.
            dimension: d at most; fewer where there are fewer texts or terms.

        Raises:
            ValueError: no word is in `IN_TEXTS` of the texts.
        """
        from sklearn.decomposition import TruncatedSVD

        vectorizer = _vectorizer(min_df=IN_TEXTS, max_features=TERMS)
        weights = vectorizer.fit_transform(texts)
        size = min(dimension, min(weights.shape) - 1)
        if size < 1:
            raise ValueError("one term, or one text, has no directions")
        components = TruncatedSVD(size, random_state=_SEED).fit(weights).components_
        return cls(
            tuple(vectorizer.get_feature_names_out().tolist()), vectorizer.idf_.copy(), components.astype(np.float32)
        )

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.components)

    @property
    def sha256(self) -> str:
        """Of everything that shapes a vector."""
        found = hashlib.sha256("\n".join(self.terms).encode())
        for array in (self.idf, self.components):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def words(self, texts: Sequence[str]) -> sparse.csr_array:
        """Weights of the terms, (n, t) float32; rows have length 1, or are empty where a text has no known term."""
        vectorizer = _vectorizer(vocabulary=self.terms)
        vectorizer.idf_ = self.idf
        return sparse.csr_array(vectorizer.transform(texts), dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, d) float32 of texts; zeros where a text has no known term."""
        return np.asarray(self.words(texts) @ self.components.T, dtype=np.float32)

    def to_bytes(self) -> bytes:
        """npz without pickle."""
        buffer = io.BytesIO()
        terms = np.frombuffer("\n".join(self.terms).encode(), dtype=np.uint8)
        np.savez_compressed(buffer, terms=terms, idf=self.idf, components=self.components)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Lexical":
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            terms = bytes(arrays["terms"]).decode().split("\n")
            return cls(tuple(terms), arrays["idf"], arrays["components"])


def _vectorizer(**fitted: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **fitted)
