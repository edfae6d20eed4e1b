"""Training: the loop, its random streams and batches, and the record of what was measured."""

from backscope.training.loop import restore, train
from backscope.training.record import Record
from backscope.training.streams import Streams

__all__ = ["Record", "Streams", "restore", "train"]
