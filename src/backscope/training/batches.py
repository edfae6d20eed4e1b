"""Batches: the training set of every replica, shuffled anew each epoch and cut into batches of equal size."""

from collections.abc import Iterator, Sequence

import numpy as np

from backscope.data import Dataset

Array = np.ndarray


def targets(y: Array, n_out: int, dtype: type | str) -> Array:
    """Classes as one-hot rows (N, n_out); numbers as they are."""
    return np.eye(n_out, dtype=dtype)[y] if y.ndim == 1 else y.astype(dtype)


class Batches:
    """Batches x (R, B, n_in), y (R, B, n_out) without end; the last, smaller batch of an epoch is left out.

    `size` None means the full batch, in the order of the data. The buffers are reused by the next batch.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        size: int | None,
        rngs: Sequence[np.random.Generator],
        dtype: type | str,
    ) -> None:
        self.x = np.stack([data.x_train for data in datasets]).astype(dtype, copy=False)
        self.y = np.stack([targets(data.y_train, data.n_out, dtype) for data in datasets])
        self.rngs, self.size, self.samples = rngs, size, self.x.shape[1]
        self.order: Iterator[Array] = iter(())
        if size is not None:
            self.buffers = [np.empty((len(a), size, a.shape[-1]), dtype) for a in (self.x, self.y)]
            self.flat = [a.reshape(-1, a.shape[-1]) for a in (self.x, self.y)]

    def next(self) -> tuple[Array, Array]:
        """The next batch of every replica."""
        if self.size is None:
            return self.x, self.y
        rows = next(self.order, None)
        if rows is None:
            self.order = self._shuffle(self.size)
            rows = next(self.order)
        for flat, buffer in zip(self.flat, self.buffers, strict=True):
            np.take(flat, rows, axis=0, out=buffer, mode="clip")
        return self.buffers[0], self.buffers[1]

    def _shuffle(self, size: int) -> Iterator[Array]:
        """Rows (R, B) of the flat arrays, batch by batch of one epoch."""
        orders = np.stack([rng.permutation(self.samples) for rng in self.rngs])
        orders += self.samples * np.arange(len(orders))[:, None]
        return iter(orders[:, i : i + size] for i in range(0, self.samples - size + 1, size))
