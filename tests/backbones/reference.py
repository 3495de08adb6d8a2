"""The published formula of each backbone, for one sample, in loops over numpy float64: slow, and nothing shared."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch

from liber_tasks.backbones.batch import Batch

Weights = dict[str, np.ndarray]
LIKED = (3, 4)  # responses of four and five stars


def weights_of(model: torch.nn.Module) -> Weights:
    return {name: value.detach().double().numpy() for name, value in model.state_dict().items()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def prelu(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def mlp(w: Weights, x: np.ndarray) -> float:
    layer = 0
    while f"mlp.hidden.{layer}.weight" in w:
        x = w[f"mlp.hidden.{layer}.weight"] @ x + w[f"mlp.hidden.{layer}.bias"]
        x = prelu(x, w[f"mlp.activations.{layer}.weight"][0])
        layer += 1
    return float((w["mlp.out.weight"] @ x + w["mlp.out.bias"])[0])


def behaviours(batch: Batch, row: int) -> list[int]:
    """Entries of a sample's history, oldest first."""
    pairs = zip(batch.history[row].tolist(), batch.history_mask[row].tolist(), strict=True)
    return [entry for entry, real in pairs if real]


def user_vectors(w: Weights, batch: Batch, row: int, prefix: str) -> list[np.ndarray]:
    return [w[f"{prefix}user.tables.{field}.weight"][batch.user[row, field]] for field in range(4)]


def genre_vector(w: Weights, genres: torch.Tensor, prefix: str) -> np.ndarray:
    table = w[f"{prefix}genres.weight"].T
    return sum((share * vector for share, vector in zip(genres.tolist(), table, strict=True)), np.zeros(len(table[0])))


def item_vector(w: Weights, item: int, genres: torch.Tensor, prefix: str) -> np.ndarray:
    return w[f"{prefix}ids.weight"][item] + genre_vector(w, genres, prefix)


def entry_vector(w: Weights, batch: Batch, entry: int, prefix: str) -> np.ndarray:
    return item_vector(w, int(batch.entry_item[entry]), batch.entry_genres[entry], prefix)


def share_of(vectors: list[np.ndarray], count: int, size: int) -> np.ndarray:
    """Sum over some behaviours by the number of all."""
    return sum(vectors, np.zeros(size)) / max(1, count)


def liked_and_others(batch: Batch, row: int) -> tuple[list[int], list[int]]:
    entries = behaviours(batch, row)
    return (
        [entry for entry in entries if batch.entry_response[entry] in LIKED],
        [entry for entry in entries if batch.entry_response[entry] not in LIKED],
    )


def field_vectors(w: Weights, batch: Batch, row: int) -> list[np.ndarray]:
    size, count = w["fields.lustrum.weight"].shape[1], len(behaviours(batch, row))

    def signed(entry: int) -> np.ndarray:
        return entry_vector(w, batch, entry, "fields.item.") + w["fields.response.weight"][batch.entry_response[entry]]

    return [
        *user_vectors(w, batch, row, "fields."),
        w["fields.item.ids.weight"][batch.item[row, 0]],
        w["fields.lustrum.weight"][batch.item[row, 1]],
        genre_vector(w, batch.genres[row], "fields.item."),
        *(share_of([signed(entry) for entry in chosen], count, size) for chosen in liked_and_others(batch, row)),
    ]


def with_extra_field(w: Weights, fields: list[np.ndarray], extra: np.ndarray) -> list[np.ndarray]:
    return [*fields, w["fields.extra.weight"] @ extra] if len(extra) else fields


def first_order(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    total = sum(float(v[0]) for v in user_vectors(w, batch, row, "first_order."))
    total += item_vector(w, int(batch.item[row, 0]), batch.genres[row], "first_order.item.")[0]
    total += w["first_order.lustrum.weight"][batch.item[row, 1]][0]
    for column, chosen in enumerate(liked_and_others(batch, row)):
        vectors = [entry_vector(w, batch, entry, "first_order.past.") for entry in chosen]
        total += share_of(vectors, len(behaviours(batch, row)), 2)[column]
    return total + (float((w["first_order.extra.weight"] @ extra)[0]) if len(extra) else 0.0)


def dcn(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    x0 = np.concatenate([*field_vectors(w, batch, row), extra])
    x = x0
    for weight, bias in zip(w["cross.weight"], w["cross.bias"], strict=True):
        x = np.outer(x0, x) @ weight + bias + x
    return float((w["cross_out.weight"] @ x)[0]) + mlp(w, x0)


def dcnv2(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    x0 = np.concatenate([*field_vectors(w, batch, row), extra])
    x = x0
    for layer in range(3):
        x = x0 * (w[f"cross.layers.{layer}.weight"] @ x + w[f"cross.layers.{layer}.bias"]) + x
    return float((w["cross_out.weight"] @ x)[0]) + mlp(w, x0)


def deepfm(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    fields = field_vectors(w, batch, row)
    products = sum(float(a @ b) for a, b in combinations(with_extra_field(w, fields, extra), 2))
    return first_order(w, batch, row, extra) + products + mlp(w, np.concatenate([*fields, extra]))


def xdeepfm(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    fields = field_vectors(w, batch, row)
    base = with_extra_field(w, fields, extra)
    layer, pooled = base, []
    for filters in (w["interaction.filters.0"], w["interaction.filters.1"]):
        layer = [
            sum(
                (filters[h, i, j] * layer[i] * base[j] for i in range(len(layer)) for j in range(len(base))),
                np.zeros(len(base[0])),
            )
            for h in range(len(filters))
        ]
        pooled += [vector.sum() for vector in layer]
    crossed = float((w["interaction_out.weight"] @ np.array(pooled))[0])
    return first_order(w, batch, row, extra) + crossed + mlp(w, np.concatenate([*fields, extra]))


def autoint(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    fields = field_vectors(w, batch, row)
    vectors = fields
    for layer in range(2):
        of = {name: w[f"layers.{layer}.{name}.weight"] for name in ("query", "key", "value", "residual")}
        size = len(of["query"]) // 2
        heads = [slice(0, size), slice(size, 2 * size)]
        attended = []
        for vector in vectors:
            parts = []
            for head in heads:
                scores = [(of["query"][head] @ vector) @ (of["key"][head] @ other) for other in vectors]
                shares = softmax(np.array(scores))
                parts.append(sum(s * (of["value"][head] @ v) for s, v in zip(shares, vectors, strict=True)))
            attended.append(np.maximum(np.concatenate(parts) + of["residual"] @ vector, 0))
        vectors = attended
    linear = float((w["attention_out.weight"] @ np.concatenate(vectors))[0])
    return linear + mlp(w, np.concatenate([*fields, extra]))


def fibinet(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    fields = with_extra_field(w, field_vectors(w, batch, row), extra)
    squeezed = np.array([vector.mean() for vector in fields])
    importance = sigmoid(w["senet.excite.weight"] @ np.maximum(w["senet.squeeze.weight"] @ squeezed, 0))
    weighed = [a * vector for a, vector in zip(importance, fields, strict=True)]
    by_later = [(i, j) for j in range(len(fields)) for i in range(j)]
    products = []
    for number, (i, j) in enumerate(by_later):
        for part, vectors in (("plain", fields), ("weighed", weighed)):
            matrices = [*w[f"{part}.weight"], *w.get(f"{part}.further", [])]
            matrix = matrices[{1: 0, len(fields) - 1: i, len(by_later): number}[len(matrices)]]
            products.append((vectors[i] @ matrix) * vectors[j])
    return first_order(w, batch, row, extra) + mlp(w, np.concatenate([*products, extra]))


def din(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    candidate = item_vector(w, int(batch.item[row, 0]), batch.genres[row], "item.")
    pooled = np.zeros_like(candidate)
    for entry in behaviours(batch, row):
        key = entry_vector(w, batch, entry, "item.") + w["response.weight"][batch.entry_response[entry]]
        pair = np.concatenate([candidate, key, candidate - key, candidate * key])
        hidden = prelu(
            w["attention.first.weight"] @ pair + w["attention.first.bias"], w["attention.activation.weight"][0]
        )
        pooled += (w["attention.second.weight"] @ hidden + w["attention.second.bias"])[0] * key
    lustrum = w["lustrum.weight"][batch.item[row, 1]]
    return mlp(w, np.concatenate([*user_vectors(w, batch, row, ""), candidate, lustrum, pooled, extra]))


def _gru_step(w: Weights, part: str, x: np.ndarray, h: np.ndarray, attention: float) -> np.ndarray:
    of_input, bias, of_state = (np.split(w[f"{part}.{n}"], 3) for n in ("input.weight", "input.bias", "state"))
    reset = sigmoid(of_input[0] @ x + bias[0] + of_state[0] @ h)
    update = sigmoid(of_input[1] @ x + bias[1] + of_state[1] @ h)
    new = np.tanh(of_input[2] @ x + bias[2] + reset * (of_state[2] @ h))
    return (1 - attention * update) * h + attention * update * new


def interests(w: Weights, batch: Batch, row: int) -> list[np.ndarray]:
    """Hidden states of DIEN's first recurrence, one a behaviour."""
    states, state = [], np.zeros(w["response.weight"].shape[1])
    for entry in behaviours(batch, row):
        x = entry_vector(w, batch, entry, "item.") + w["response.weight"][batch.entry_response[entry]]
        state = _gru_step(w, "extractor", x, state, 1.0)
        states.append(state)
    return states


def dien(w: Weights, batch: Batch, row: int, extra: np.ndarray) -> float:
    candidate = item_vector(w, int(batch.item[row, 0]), batch.genres[row], "item.")
    states = interests(w, batch, row)
    shares = softmax(np.array([state @ w["relevance.weight"] @ candidate for state in states])) if states else []
    evolved = np.zeros_like(candidate)
    for share, state in zip(shares, states, strict=True):
        evolved = _gru_step(w, "evolution", state, evolved, share)
    lustrum = w["lustrum.weight"][batch.item[row, 1]]
    return mlp(w, np.concatenate([*user_vectors(w, batch, row, ""), candidate, lustrum, evolved, extra]))


def auxiliary_loss(w: Weights, batch: Batch) -> float:
    """DIEN's auxiliary loss of a batch, not weighted."""
    assert batch.negatives is not None

    def score(state: np.ndarray, entry: int) -> float:
        pair = np.concatenate([state, entry_vector(w, batch, entry, "item.")])
        first = np.concatenate([w["discriminator.of_state.weight"], w["discriminator.of_item.weight"]], axis=1)
        hidden = prelu(first @ pair + w["discriminator.of_state.bias"], w["discriminator.activation.weight"][0])
        return sigmoid(w["discriminator.out.weight"] @ hidden + w["discriminator.out.bias"])[0]

    losses = []
    for row in range(len(batch)):
        entries, states = behaviours(batch, row), interests(w, batch, row)
        negatives = batch.negatives[row, batch.history_mask[row]].tolist()
        for t in range(len(entries) - 1):
            losses.append(-np.log(score(states[t], entries[t + 1])) - np.log(1 - score(states[t], negatives[t + 1])))
    return float(np.mean(losses)) if losses else 0.0


REFERENCES: dict[str, Callable[[Weights, Batch, int, np.ndarray], float]] = {
    "dcn": dcn,
    "dcnv2": dcnv2,
    "deepfm": deepfm,
    "xdeepfm": xdeepfm,
    "autoint": autoint,
    "fibinet": fibinet,
    "din": din,
    "dien": dien,
}
