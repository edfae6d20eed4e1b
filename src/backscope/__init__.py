"""backscope: see what backpropagation does to a gradient on its way down a network.

In a notebook, `import backscope as bs`: `bs.train`, `bs.runs`, `bs.trace`, `bs.compare`, and the two estimators of
scikit-learn's kind. They are imported when they are first used.
"""

TYPE_CHECKING = False  # not from typing, which takes longer to import than this

if TYPE_CHECKING:
    from typing import Any

    from backscope.estimators import BackpropClassifier, BackpropRegressor
    from backscope.notebook import compare, runs, trace, train

__version__ = "0.1.0"
__all__ = ["BackpropClassifier", "BackpropRegressor", "compare", "runs", "trace", "train"]


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module 'backscope' has no attribute '{name}'")
    from importlib import import_module

    module = "backscope.estimators" if name.startswith("Backprop") else "backscope.notebook"
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
