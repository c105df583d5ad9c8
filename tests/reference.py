"""Plain float64 transcriptions of the formulas, with loops where they are clearer."""

from collections.abc import Callable

import numpy as np

IGNORE_LABEL = 255


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the softmax along an axis."""
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def true_probability(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return each pixel's probability of its label, 1 where ignored: (B, H, W)."""
    valid = labels != IGNORE_LABEL
    index = np.where(valid, labels, 0)[..., np.newaxis].astype(int)
    probability = softmax(np.asarray(logits, "float64"))
    taken = np.take_along_axis(probability, index, axis=-1)[..., 0]
    return np.where(valid, taken, 1.0)


def cross_entropy(
    labels: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Return the weighted mean over labelled pixels and its gradient.

    Args:
        labels: (B, H, W) integer labels, 255 for ignored ones.
        logits: (B, H, W, C) logits.
        weights: Weight of each pixel, broadcasts to (B, H, W), or None.
    """
    valid = (labels != IGNORE_LABEL).astype("float64")
    weights = valid * (1.0 if weights is None else weights)
    divisor = weights.sum() or 1.0
    losses = -np.log(true_probability(labels, logits))
    one_hot = np.arange(logits.shape[-1]) == labels[..., np.newaxis]
    gradient = softmax(logits.astype("float64")) - one_hot
    gradient = gradient * weights[..., np.newaxis] / divisor
    return float((losses * weights).sum() / divisor), gradient


def contrastive(
    labels: np.ndarray, embeddings: np.ndarray, valid: np.ndarray, temperature: float
) -> float:
    """Return eq. 6 of the FRM paper, pair by pair; 0 without an anchor that counts."""
    anchors = [i for i in range(len(labels)) if valid[i]]
    unit = [vector / max(np.linalg.norm(vector), 1e-30) for vector in embeddings]

    def similarity(i, j):
        return np.exp(unit[i] @ unit[j] / temperature)

    losses = []
    for i in anchors:
        positives = [p for p in anchors if labels[p] == labels[i] and p != i]
        negatives = [n for n in anchors if labels[n] != labels[i]]
        if not positives:
            continue
        total = 0.0
        for p in positives:
            negative_sum = sum(similarity(i, n) for n in negatives)
            positive = similarity(i, p)
            total += -np.log(positive / (positive + negative_sum))
        losses.append(total / len(positives))
    return float(np.mean(losses)) if losses else 0.0


def disentangled_non_local(
    x: np.ndarray,
    query: np.ndarray,
    key: np.ndarray,
    mask: np.ndarray,
    value: np.ndarray,
) -> np.ndarray:
    """Return eq. 2-3 of the FRM paper, position by position.

    Args:
        x: (B, H, W, C) features.
        query: (C, D) matrix.
        key: (C, D) matrix.
        mask: (C, 1) matrix.
        value: (C, C) matrix.
    """
    out = np.zeros_like(x)
    for b, image in enumerate(x):
        pixels = image.reshape(-1, image.shape[-1])  # (N, C)
        q, k, m, g = (pixels @ matrix for matrix in (query, key, mask, value))
        q_mean, k_mean = q.mean(axis=0), k.mean(axis=0)
        unary = np.exp(m[:, 0]) / np.exp(m[:, 0]).sum()
        for i in range(len(pixels)):
            pairwise = np.array([np.exp((q[i] - q_mean) @ (kj - k_mean)) for kj in k])
            pairwise /= pairwise.sum()
            y = sum((pairwise[j] + unary[j]) * g[j] for j in range(len(pixels)))
            out[b].reshape(-1, image.shape[-1])[i] = y
    return out


def window_means(x: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of windows of (B, H, W, C), cut at the borders.

    The pixels that lack to whole windows lack half at the start, half at the end.
    """
    height, width = (-(-length // factor) for length in x.shape[1:3])
    top = (height * factor - x.shape[1]) // 2
    left = (width * factor - x.shape[2]) // 2
    out = np.zeros((len(x), height, width, x.shape[3]))
    for i in range(height):
        for j in range(width):
            rows = slice(max(i * factor - top, 0), (i + 1) * factor - top)
            columns = slice(max(j * factor - left, 0), (j + 1) * factor - left)
            out[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
    return out


def adaptive_pool(x: np.ndarray, grid: int, reduce: Callable) -> np.ndarray:
    """Reduce each of grid x grid cells, from floor(i H / grid) to a ceil."""

    def cell(i, length):
        return slice(i * length // grid, -(-(i + 1) * length // grid))

    out = np.zeros((len(x), grid, grid, x.shape[3]))
    for i in range(grid):
        for j in range(grid):
            values = x[:, cell(i, x.shape[1]), cell(j, x.shape[2])]
            out[:, i, j] = reduce(values, axis=(1, 2))
    return out


def bilinear(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sample (B, h, w, C) on a grid of positions, held at the borders."""

    def weights(positions, length):
        known, hats = np.arange(length), np.eye(length)
        return np.stack([np.interp(positions, known, hat) for hat in hats], axis=1)

    down, across = weights(rows, x.shape[1]), weights(columns, x.shape[2])
    return np.einsum("ih,jw,bhwc->bijc", down, across, x)


def poly_learning_rate(
    step: int, initial: float, total: int, power: float = 0.9, warmup: int = 0
) -> float:
    """Return the poly rule's learning rate, times a linear warm-up."""
    rate = initial * max(1 - step / total, 0) ** power
    return rate * min((step + 1) / warmup, 1) if warmup else rate


def coupled_sgd(
    weight: np.ndarray,
    gradient: Callable,
    learning_rates: list[float],
    momentum: float,
    l2: float,
) -> np.ndarray:
    """Return the weight after SGD with the decay inside the momentum."""
    velocity = np.zeros_like(weight)
    for rate in learning_rates:
        velocity = momentum * velocity - rate * (gradient(weight) + l2 * weight)
        weight = weight + velocity
    return weight
