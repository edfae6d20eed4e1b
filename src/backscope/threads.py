"""One BLAS thread a process: on matrices this small a second thread is never faster, and several workers share the cores.

Nothing here imports NumPy, because the variables are read when its BLAS is loaded.
"""

import os
import sys

ONE_THREAD = {
    f"{library}_NUM_THREADS": "1"
    for library in ("OPENBLAS", "MKL", "OMP", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR")
}
ONE_THREAD["VECLIB_MAXIMUM_THREADS"] = ONE_THREAD.pop("VECLIB_MAXIMUM_NUM_THREADS")


def use_one_thread() -> None:
    """From now on in this process and in those that it starts, whether or not NumPy is loaded already."""
    os.environ.update(ONE_THREAD)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
