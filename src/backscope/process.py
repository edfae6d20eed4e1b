"""How every process of ours starts: one BLAS thread, and no garbage collection while it imports.

On matrices this small a second thread is never faster, and several workers share the cores. Nothing here imports NumPy,
because the variables are read when its BLAS is loaded.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

LIBRARIES = ("OPENBLAS_NUM", "MKL_NUM", "OMP_NUM", "BLIS_NUM", "VECLIB_MAXIMUM")
ONE_THREAD = {f"{library}_THREADS": "1" for library in LIBRARIES}


def use_one_thread() -> None:
    """From now on, in this process and in those that it starts, whether or not NumPy is loaded already."""
    os.environ.update(ONE_THREAD)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """For a while: in a notebook, whose other libraries keep the threads that they have."""
    with _pools().limit(limits=1):
        yield


@cache
def _pools() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage: modules live as long as the process, and the search costs a fifth."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
