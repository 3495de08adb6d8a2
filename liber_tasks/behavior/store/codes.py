"""Ids as small numbers, so that the rows of a load hold each id about once."""

from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST = 200_000  # ids remembered; a bound on memory, not on the number of ids
BUCKETS = 256


@dataclass
class Codes:
    """Codes of the ids of one column, from 1.

    An id that is met again after it was forgotten gets a second code: whoever resolves codes joins on the id.
    """

    last: int = 0  # highest code given
    _known: dict[str, int] = field(default_factory=dict)

    def encode(self, ids: pa.Array) -> tuple[np.ndarray, np.ndarray, pa.RecordBatch]:
        """Replace ids by codes.

        Args:
            ids: string array (n,) without nulls.

        Returns:
            Codes, int64 (n,); the bucket of each id, uint8 (n,), the same whenever the id is met; and what the new
            codes mean, a batch of `code` int64 and `id` string.
        """
        if len(self._known) > MOST:
            self._known.clear()
        encoded = pc.dictionary_encode(ids)
        distinct = encoded.dictionary.to_pylist()
        known = self._known
        codes = np.fromiter(map(known.get, distinct, repeat(0)), np.int64, len(distinct))
        new = np.flatnonzero(codes == 0)
        codes[new] = np.arange(self.last + 1, self.last + 1 + len(new))
        self.last += len(new)
        unknown = encoded.dictionary.take(pa.array(new))
        known.update(zip(unknown.to_pylist(), codes[new].tolist(), strict=True))
        buckets = (np.fromiter(map(hash, distinct), np.int64, len(distinct)) % BUCKETS).astype(np.uint8)
        meaning = pa.record_batch([pa.array(codes[new]), unknown], names=["code", "id"])
        places = encoded.indices.to_numpy()
        return codes[places], buckets[places], meaning
