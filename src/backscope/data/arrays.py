"""One's own arrays as data: what a notebook or an estimator brings along, where a configuration can only name."""

import hashlib
from typing import Any

import numpy as np

from backscope.data.source import Array, Source

ARRAYS = "arrays"  # what such data are called in a configuration


def arrays(x: Any, y: Any) -> Source:
    """Inputs x (N, n_in) with targets y (N,) or (N, n_out): floats are a regression's, anything else names classes.

    Raises ValueError for what is not such a pair of finite numbers and targets.

    >>> arrays([[0.0], [1.0]], ["no", "yes"]).n_out, arrays([[0.0], [1.0]], [0.5, 1.5]).task
    (2, 'regression')
    """
    inputs, targets = np.asarray(x), np.asarray(y)
    if inputs.ndim != 2 or inputs.dtype.kind not in "biuf" or not np.isfinite(inputs).all():
        raise _refusal(inputs, "inputs of shape (samples, features), all finite numbers")
    if targets.ndim not in (1, 2) or not 2 <= len(targets) == len(inputs):
        raise _refusal(targets, f"a target for each of the {len(inputs)} samples, of which there are two at least")
    if targets.dtype.kind == "f":
        if not np.isfinite(targets).all():
            raise _refusal(targets, "targets that are all finite")
        columns = targets.reshape(len(targets), -1)
        return _source(inputs, columns, columns.shape[1], "regression")
    if targets.ndim == 2:
        raise _refusal(targets, "one class for each sample, or floats for a regression")
    classes, codes = np.unique(targets, return_inverse=True)
    return _source(inputs, codes, len(classes), "classification")


def digest(*of: Array) -> str:
    """Twelve hex digits of the arrays' content, types and shapes.

    >>> digest(np.arange(3)) == digest(np.arange(3)) != digest(np.arange(3.0))
    True
    """
    sha = hashlib.sha256()
    for array in of:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:12]


def _source(x: Array, y: Array, n_out: int, task: Any) -> Source:
    return Source(len(x), x.shape[1], n_out, lambda rng: (x, y), task, digest(x, y))


def _refusal(array: Array, allowed: str) -> ValueError:
    return ValueError(f"data=array {array.shape} of {array.dtype}: allowed are {allowed}")
