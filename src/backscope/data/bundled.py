"""Data that ship with an installed package: scikit-learn's small classics, and MNIST-1D, which is generated.

MNIST-1D: Greydanus & Kobak, Scaling down deep learning with MNIST-1D, ICML 2024.
"""

import io
import random
import zipfile
from functools import cache
from importlib.metadata import version

import numpy as np

from backscope.cache import in_cache, keep
from backscope.data.source import Array, Source


def digits() -> Source:
    """Handwritten digits: 8×8 grey-scale images, 10 classes."""
    return Source(1797, 64, 10, lambda rng: _sklearn("digits"))


def breast_cancer() -> Source:
    """Breast tumours: 30 measurements of cell nuclei, malignant or benign."""
    return Source(569, 30, 2, lambda rng: _sklearn("breast_cancer"))


def wine() -> Source:
    """Wines of three growers: 13 chemical measurements."""
    return Source(178, 13, 3, lambda rng: _sklearn("wine"))


def iris() -> Source:
    """Fisher's irises: 4 measurements of the flower, 3 species."""
    return Source(150, 4, 3, lambda rng: _sklearn("iris"))


def diabetes() -> Source:
    """Progression of diabetes after one year, from 10 measurements: the regression task."""
    return Source(442, 10, 1, lambda rng: _sklearn("diabetes"), "regression")


def mnist1d() -> Source:
    """MNIST-1D: noisy, shifted, sheared one-dimensional digits of 40 points, 10 classes."""
    return Source(5000, 40, 10, lambda rng: _mnist1d())


@cache
def _sklearn(name: str) -> tuple[Array, Array]:
    """One of scikit-learn's bundled sets, parsed once a process (digits take 5 ms)."""
    import sklearn.datasets  # half a second, which checking a configuration need not pay

    return _read_only(*getattr(sklearn.datasets, f"load_{name}")(return_X_y=True))


@cache
def _mnist1d() -> tuple[Array, Array]:
    """MNIST-1D from the user's cache; generated there (3 s) if it is absent or damaged."""
    path = in_cache(f"mnist1d-{version('mnist1d')}.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _read_only(stored["x"], stored["y"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        x, y = _generate_mnist1d()
    content = io.BytesIO()
    np.savez(content, x=x, y=y)
    keep(path, content.getvalue())
    return _read_only(x, y)


def _generate_mnist1d() -> tuple[Array, Array]:
    """The package's own train and test part, pooled; its reseeding of the global generators is undone."""
    from mnist1d.data import get_dataset_args, make_dataset

    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        made = make_dataset(get_dataset_args())
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
    return np.concatenate([made["x"], made["x_test"]]), np.concatenate([made["y"], made["y_test"]])


def _read_only(x: Array, y: Array) -> tuple[Array, Array]:
    """The same arrays, write-protected, because every run of the process shares them."""
    x.flags.writeable = y.flags.writeable = False
    return x, y
