"""Sums of (R, B, n) over samples, units, or both, in an order that does not depend on the number of replicas.

Along one axis a product with a vector of ones is fastest; over both, an array is one long vector for each replica if
its samples are contiguous, as the network's are.
"""

from functools import cache

import numpy as np

Array = np.ndarray


@cache
def _ones(count: int, dtype: np.dtype) -> Array:
    ones = np.ones(count, dtype)
    ones.flags.writeable = False
    return ones


def batch_sum(array: Array, out: Array) -> None:
    """The sum over samples, (R, n), into `out`.

    >>> sums = np.empty((1, 3))
    >>> batch_sum(np.arange(6.0).reshape(1, 2, 3), out=sums)
    >>> sums
    array([[3., 5., 7.]])
    """
    np.matmul(_ones(array.shape[1], array.dtype)[None], array, out=out[:, None])


def unit_sum(array: Array) -> Array:
    """The sum over units, (R, B, 1).

    >>> unit_sum(np.arange(6.0).reshape(1, 2, 3))
    array([[[ 3.],
            [12.]]])
    """
    return array @ _ones(array.shape[2], array.dtype)[:, None]


def dot(a: Array, b: Array) -> Array:
    """The sum of a · b over samples and units, (R,).

    >>> dot(np.ones((1, 2, 3)), np.arange(6.0).reshape(1, 2, 3))
    array([15.])
    """
    return np.vecdot(a.mT.reshape(len(a), -1), b.mT.reshape(len(b), -1))


def total(array: Array) -> Array:
    """The sum over samples and units, (R,).

    >>> total(np.arange(6.0).reshape(1, 2, 3))
    array([15.])
    """
    return np.add.reduce(array.mT.reshape(len(array), -1), axis=-1)
