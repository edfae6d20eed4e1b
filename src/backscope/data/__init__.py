"""Datasets that need no network: where they come from, how they are split and standardised.

`describe` says what a dataset will look like without touching it; `load` draws, splits and standardises it.
"""

from backscope.data.arrays import ARRAYS, arrays, digest
from backscope.data.loading import DATASETS, Dataset, Shape, describe, load, summary
from backscope.data.source import Source

__all__ = ["ARRAYS", "DATASETS", "Dataset", "Shape", "Source", "arrays", "describe", "digest", "load", "summary"]
