"""Batches: every sample once an epoch, in an order of each replica's own."""

import numpy as np
import pytest

from backscope.data import Dataset
from backscope.training.batches import Batches


def numbered(samples, seed=0):
    """A dataset whose only input is the number of the sample, and whose target is ten times that."""
    x = np.arange(float(samples))[:, None] + 1000 * seed
    return Dataset("numbered", x, 10 * x, x, 10 * x, 1, "regression")


@pytest.mark.parametrize(("samples", "size"), [(23, 5), (20, 5), (7, 7), (5, 1), (9, 8)])
def test_an_epoch_visits_each_sample_once_but_for_the_remainder(samples, size):
    rngs = [np.random.default_rng(seed) for seed in range(2)]
    batches = Batches([numbered(samples), numbered(samples, 1)], size, rngs, np.float64)
    epochs = []
    for _ in range(3):
        visited = []
        for _ in range(samples // size):
            x, y = batches.next()
            assert x.shape == y.shape == (2, size, 1)
            assert np.array_equal(y, 10 * x)
            visited.append(x[..., 0].copy())
        visited = np.concatenate(visited, axis=1)
        for r in range(2):
            assert len(set(visited[r])) == samples - samples % size
            assert set(visited[r]) <= set(np.arange(samples) + 1000 * r)
        epochs += [visited[0].tobytes(), (visited[1] - 1000).tobytes()]
    assert len(set(epochs)) > len(epochs) / 2  # in another order each time and for each replica


def test_the_full_batch_is_all_samples_at_every_step():
    batches = Batches([numbered(9)], None, [np.random.default_rng(0)], np.float32)
    for _ in range(3):
        x, y = batches.next()
        assert x.dtype == y.dtype == np.float32
        assert x[0, :, 0].tolist() == list(range(9)) and np.array_equal(y, 10 * x)
